"""
A real broker with a listener for each way to connect, and with access-control lists.

`PLAINTEXT` and `TLS` clients are anonymous and super users, so that a test can prepare topics. The broker checks
`OAUTHBEARER` tokens with Kafka's validator for unsecured tokens: it holds subject and expiry against the claims, and no
signature. The client's side is the same as with signed tokens.
"""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.stack.kafka import KafkaPart
from pipeline.stack_settings import StackSettings
from tests.support.certificates import Authority, Certificate
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD = "canary-correct-horse-battery"
# Users of SASL; the principal of each is `User:<name>`.
USERS = ("worker", "archive", "reviewer", "publisher", "reader", "operator", "producer", "exporter", "owner", "nobody")
# A connection by token has to log in again after this time.
SESSION_MS = 3000


@dataclass(frozen=True)
class Ports:
    """The ports of the listeners."""

    plain: int
    controller: int
    tls: int
    mutual: int
    sasl: int
    other_name: int
    expired: int


class SecureKafka(KafkaPart):
    """The broker with all listeners."""

    def __init__(self, settings: StackSettings, ports: Ports, folder: Path) -> None:
        super().__init__(settings)
        self.ports, self.folder = ports, folder
        self.authority = Authority(folder, "authority")
        self.stranger = Authority(folder, "stranger")
        self.server = self.authority.issue("broker")
        self._other_name = self.authority.issue("elsewhere", hosts=("elsewhere.example",))
        self._expired = self.authority.issue("expired", days=-1)

    def properties(self, data: Path) -> str:
        """Return the local stack's properties with those of the listeners; the last of two properties counts."""
        return "\n".join([super().properties(data), *self._listeners(), *self._tls(), *self._sasl(), *_ACLS, ""])

    def format_options(self) -> list[str]:
        """Store the SCRAM users."""
        return [
            word
            for mechanism in SCRAM
            for user in USERS
            for word in ("--add-scram", f"{mechanism}=[name={user},password={PASSWORD}]")
        ]

    def _listeners(self) -> list[str]:
        ports = self.ports
        at = {
            "PLAINTEXT": ports.plain,
            "TLS": ports.tls,
            "MUTUAL": ports.mutual,
            "SASL": ports.sasl,
            "OTHERNAME": ports.other_name,
            "EXPIRED": ports.expired,
        }
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in at.items())
        kinds = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MUTUAL:SSL,SASL:SASL_SSL,OTHERNAME:SSL,EXPIRED:SSL"
        return [
            f"listeners={listeners},CONTROLLER://127.0.0.1:{ports.controller}",
            f"advertised.listeners={listeners}",
            f"listener.security.protocol.map={kinds}",
        ]

    def _tls(self) -> list[str]:
        return [
            *_keystore("ssl", self.server),
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.authority.file}",
            "listener.name.mutual.ssl.client.auth=required",
            *_keystore("listener.name.othername.ssl", self._other_name),
            *_keystore("listener.name.expired.ssl", self._expired),
        ]

    def _sasl(self) -> list[str]:
        module = "org.apache.kafka.common.security"
        tokens = f'{module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        plain = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        return [
            f"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,{','.join(SCRAM)},OAUTHBEARER",
            f"listener.name.sasl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required {plain};",
            *(
                f"listener.name.sasl.{each.lower()}.sasl.jaas.config={module}.scram.ScramLoginModule required;"
                for each in SCRAM
            ),
            f"listener.name.sasl.oauthbearer.sasl.jaas.config={tokens}",
            f"listener.name.sasl.oauthbearer.connections.max.reauth.ms={SESSION_MS}",
        ]


_ACLS = [
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS",
]


def secure_broker(state: Path) -> SecureKafka:
    """Return a broker that is not started yet, with its certificates in `state`."""
    ports = Ports(*free_ports(7))
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts", state=state, kafka_port=ports.plain, controller_port=ports.controller
    )
    return SecureKafka(settings, ports, state)


def token(subject: str, life_s: float = 300.0) -> str:
    """Return an unsecured token."""
    now = time.time()
    parts = {"alg": "none"}, {"sub": subject, "iat": now - 600, "exp": now + life_s}
    header, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{header}.{claims}."


def _keystore(prefix: str, given: Certificate) -> list[str]:
    return [f"{prefix}.keystore.type=PEM", f"{prefix}.keystore.location={given.both}"]
