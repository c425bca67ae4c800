"""Progress of workers until they have committed a stream, and the environment that gives them its settings."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from pipeline.broker.configured import connection_of
from pipeline.broker.connection import Connection
from pipeline.broker.topics import committed_and_end
from pipeline.errors import WatchwordError
from pipeline.settings import Settings
from pipeline.stack.worker_process import WorkerProcess
from pipeline.stack_settings import PREFIX

PAUSE_S = 0.3


def newly_committed(
    settings: Settings,
    workers: Sequence[WorkerProcess],
    count: int,
    *,
    patience_s: float,
    fault: type[WatchwordError],
) -> Iterator[int]:
    """
    Yield the number of input records that the group committed since the last time, until it has committed `count`.

    Raises `fault` when a worker ends before that, or when nothing is committed for `patience_s`; also `BrokerFault`.
    """
    connection = connection_of(settings)
    committed, since = 0, time.monotonic()
    while True:
        now = _committed(connection, settings)
        if now > committed:
            yield now - committed
            committed, since = now, time.monotonic()
        if committed >= count:
            return
        if time.monotonic() - since > patience_s:
            raise fault(f"nothing was judged for {patience_s:.0f} s; the end of a worker's log:\n{workers[0].tail()}")
        for worker in workers:
            if _ends_within(worker, PAUSE_S / len(workers)):
                raise fault(f"worker {worker.instance_id} ended with {worker.exit_code()}:\n{worker.tail()}")


def environment_of(settings: Settings) -> dict[str, str]:
    """Return environment variables for the settings that were set explicitly; all others have their defaults."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"{PREFIX}{name.upper()}": _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | dict):
        return json.dumps(value, default=str)
    return str(value)


def _committed(connection: Connection, settings: Settings) -> int:
    places = committed_and_end(connection, settings.group_id, settings.topic_images)
    return sum(committed for committed, _ in places.values())


def _ends_within(worker: WorkerProcess, timeout_s: float) -> bool:
    try:
        worker.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
