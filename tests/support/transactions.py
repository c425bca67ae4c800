"""The broker's view of a transaction, to kill its producer at a chosen moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.errors import KafkaError


@dataclass(frozen=True)
class Transaction:
    """The last transaction of a transactional id; `started_ms` is -1 where none is open."""

    open: bool = False
    started_ms: int = -1


@contextmanager
def transactions(bootstrap_servers: str) -> Iterator[Callable[[str], Transaction]]:
    """Yield a function that looks up the last transaction of a transactional id."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)

    def last(name: str) -> Transaction:
        try:
            described = admin.describe_transactions([name])[name]
        except KafkaError:
            return Transaction()
        state = str(described.state).rsplit(".", 1)[-1].title()
        return Transaction(state == "Ongoing", described.transaction_start_time_ms)

    try:
        yield last
    finally:
        admin.close()
