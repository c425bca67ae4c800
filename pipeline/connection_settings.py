"""Settings of the connections to Kafka and Triton: addresses, TLS and credentials."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class ConnectionSettings(BaseSettings):
    """The part of `Settings` that says how to connect; docs/security.md explains it by example."""

    bootstrap_servers: str = Field("localhost:9092", description="Kafka brokers, `host:port` with commas between.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol of the connections to the brokers."
    )
    sasl_mechanism: str | None = Field(
        None,
        description="SASL mechanism: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` or `AWS_MSK_IAM`.",
    )
    sasl_username: str | None = Field(None, description="SASL user name.")
    sasl_password: SecretStr | None = Field(None, description="SASL password; masked wherever settings are shown.")
    sasl_password_file: Path | None = Field(
        None, description="File with the SASL password, read again for each connection to a broker."
    )
    sasl_oauth_token_file: Path | None = Field(
        None, description="File with the token for `OAUTHBEARER`, read again for each connection to a broker."
    )
    sasl_oauth_token_url: str | None = Field(
        None, description="Address (`https:`) of the token endpoint for `OAUTHBEARER` with client credentials."
    )
    sasl_oauth_client_id: str | None = Field(None, description="Client id at the token endpoint.")
    sasl_oauth_client_secret: SecretStr | None = Field(
        None, description="Client secret at the token endpoint; masked wherever settings are shown."
    )
    sasl_oauth_client_secret_file: Path | None = Field(
        None, description="File with the client secret, read again for each request to the token endpoint."
    )
    sasl_oauth_scope: str | None = Field(None, description="Scope that is asked for at the token endpoint.")
    sasl_oauth_cafile: Path | None = Field(
        None,
        description="File with the certificate authority of the token endpoint; that of the system when not set.",
    )
    sasl_aws_region: str | None = Field(None, description="AWS region of the brokers, for `AWS_MSK_IAM`.")
    ssl_cafile: Path | None = Field(
        None, description="File with the certificate authority of the brokers; that of the system when not set."
    )
    ssl_certfile: Path | None = Field(
        None,
        description="File with the client certificate and its chain, for brokers that ask for one (mutual TLS).",
    )
    ssl_keyfile: Path | None = Field(
        None, description="File with the private key of the client certificate; not needed when that file has it too."
    )
    ssl_key_password: SecretStr | None = Field(
        None, description="Password of the private key; masked wherever settings are shown."
    )
    ssl_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must have the name that is connected to."
    )
    triton_tls: bool = Field(default=False, description="Whether connections to Triton use TLS.")
    triton_ca_file: Path | None = Field(
        None, description="File with the certificate authority of Triton; that of the system when not set."
    )
    triton_cert_file: Path | None = Field(
        None, description="File with the client certificate for a Triton that asks for one (mutual TLS)."
    )
    triton_key_file: Path | None = Field(None, description="File with the private key of the certificate for Triton.")
