"""Login of a Kafka client by SASL: the mechanism, and the credentials as they are at each connection."""

from dataclasses import dataclass

from kafka.errors import KafkaConnectionError
from kafka.net.sasl.oauth import AbstractTokenProvider

from pipeline.broker.refusals import Refusal
from pipeline.broker.tokens import Tokens
from pipeline.errors import BrokerFault, UsageError
from pipeline.secret_files import Secret

OAUTHBEARER = "OAUTHBEARER"


@dataclass(frozen=True, slots=True)
class Login:
    """
    A SASL mechanism in Kafka's spelling with its credentials: a user's `password`, or `tokens`.

    `hint` names the settings to check when the broker refuses the login.
    """

    mechanism: str
    hint: str
    username: str | None = None
    password: Secret | None = None
    tokens: Tokens | None = None

    def read_password(self) -> str | None:
        """Return the password as it is now. Raises `Refusal` when it cannot be read."""
        try:
            return self.password.read() if self.password else None
        except UsageError as error:
            raise Refusal(str(error)) from error


class ClientTokens(AbstractTokenProvider):  # type: ignore[misc]  # untyped
    """Tokens in the shape that kafka-python asks for."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self._tokens = tokens

    def token(self) -> str:
        """Return a token. Raises `Refusal`, and `KafkaConnectionError` when there is none for now."""
        try:
            return self._tokens.token()
        except BrokerFault as fault:
            raise KafkaConnectionError(str(fault)) from fault
        except UsageError as error:
            raise Refusal(str(error)) from error
