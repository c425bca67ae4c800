"""Tokens for SASL `OAUTHBEARER`: from a file, from a token endpoint, or signed for AWS."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounded import brief
from pipeline.errors import BrokerFault, UsageError
from pipeline.extras import models_extra
from pipeline.secret_files import Secret
from pipeline.tls import Tls, distrust

log = structlog.get_logger()

# A client asks from the thread that sends its heartbeats, so the endpoint has little time to answer.
ANSWER_S = 5.0
# A token is replaced after this share of its life. Until its end, it is used when the endpoint does not answer.
FRESH_SHARE = 0.8
# The life of a token whose endpoint does not tell it (RFC 6749, section 5.1, leaves it open).
UNKNOWN_LIFE_S = 300.0


class Tokens(Protocol):
    """
    A source of tokens. Several threads may call it.

    `token` returns a token to log in with. It raises `UsageError` for faults that only a person can mend, and
    `BrokerFault` when there is none for now.
    """

    def token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FileTokens:
    """A token in a file that something else replaces before it expires, for example a projected service account."""

    file: Secret

    def token(self) -> str:
        """Read the file."""
        return self.file.read()


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token with its life in seconds."""

    value: str
    life_s: float


class CachedTokens:
    """Tokens of `issue`, each used until most of its life is over."""

    def __init__(self, issue: Callable[[], IssuedToken], clock: Callable[[], float] = time.monotonic) -> None:
        self._issue, self._clock = issue, clock
        self._lock = threading.Lock()
        self._value, self._fresh_until, self._ends_at = "", 0.0, 0.0

    def token(self) -> str:
        """Return the token in use, or a new one; the one in use, until its end, when there is no new one for now."""
        with self._lock:
            if not self._value or self._clock() >= self._fresh_until:
                self._renew()
            return self._value

    def _renew(self) -> None:
        asked_at = self._clock()
        try:
            issued = self._issue()
        except BrokerFault as fault:
            if not self._value or asked_at >= self._ends_at:
                raise
            log.warning("token_not_renewed", fault=str(fault), expires_in_s=round(self._ends_at - asked_at))
            return
        self._value = issued.value
        self._fresh_until = asked_at + issued.life_s * FRESH_SHARE
        self._ends_at = asked_at + issued.life_s


class _Answer(BaseModel):
    """The fields of a token endpoint's answer (RFC 6749, section 5.1)."""

    # The input may have a token.
    model_config = ConfigDict(hide_input_in_errors=True)

    access_token: str = Field(min_length=1)
    expires_in: float = Field(UNKNOWN_LIFE_S, gt=0)


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """A token endpoint, asked with client credentials (RFC 6749, section 4.4)."""

    url: str
    client_id: str
    client_secret: Secret
    scope: str | None
    tls: Tls

    def issue(self) -> IssuedToken:
        """Ask for a token. Raises `UsageError` when it is refused, and `BrokerFault` when there is no answer."""
        form = {"grant_type": "client_credentials", **({"scope": self.scope} if self.scope else {})}
        client = httpx.Client(verify=self.tls.context(), timeout=ANSWER_S, trust_env=False)
        try:
            with client:
                answer = client.post(self.url, data=form, auth=(self.client_id, self.client_secret.read()))
        except httpx.HTTPError as error:
            raise self._unanswered(error) from error
        return self._issued(answer)

    def _issued(self, answer: httpx.Response) -> IssuedToken:
        if answer.is_client_error and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
            raise UsageError(
                f"the token endpoint `{self.url}` refuses client `{self.client_id}`: {answer.status_code} "
                f"{brief(answer.text)}; check WATCHWORD_SASL_OAUTH_CLIENT_ID, its secret and its scope"
            )
        if not answer.is_success:
            raise BrokerFault(f"the token endpoint `{self.url}` answered {answer.status_code}")
        try:
            found = _Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise UsageError(
                f"the token endpoint `{self.url}` answered without `access_token`; check WATCHWORD_SASL_OAUTH_TOKEN_URL"
            ) from error
        return IssuedToken(found.access_token, found.expires_in)

    def _unanswered(self, error: httpx.HTTPError) -> Exception:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return UsageError(distrust(cause, self.tls, self.url))
            cause = cause.__cause__ or cause.__context__
        return BrokerFault(f"the token endpoint `{self.url}` does not answer: {error}")


@dataclass(frozen=True, slots=True)
class AwsSigner:
    """Tokens for Amazon MSK, signed on this host with the credentials that AWS's SDK finds."""

    region: str

    def issue(self) -> IssuedToken:
        """Sign a token. Raises `UsageError` without the extra `msk`, and `BrokerFault` without credentials."""
        with models_extra("msk"):
            from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415 -- only brokers of AWS need it
        try:
            value, expires_ms = MSKAuthTokenProvider.generate_auth_token(self.region)
        except Exception as error:  # the SDK raises anything, for example when its metadata service is away
            raise BrokerFault(f"AWS credentials for {self.region} cannot be had: {brief(error)}") from error
        return IssuedToken(value, max(1.0, expires_ms / 1000 - time.time()))
