"""
`watchword dead-letters requeue`, made to break its guarantee: the harness must report the doubles.

It commits the records in one transaction and the letters' handling in another.
"""

import threading
from collections.abc import Mapping
from unittest import mock

from pipeline.broker.producer import Message
from pipeline.cli.main import main
from pipeline.events.wire.handling import Handling, LetterId
from pipeline.operations.dead_letters.writer import HandlingWriter

PAUSE_S = 0.1
commit = HandlingWriter.commit


def commit_apart(
    writer: HandlingWriter, handlings: Mapping[LetterId, Handling], messages: list[Message] | None = None
) -> None:
    commit(writer, {}, messages)
    threading.Event().wait(PAUSE_S)
    commit(writer, handlings)


if __name__ == "__main__":
    mock.patch.object(HandlingWriter, "commit", commit_apart).start()
    main()
