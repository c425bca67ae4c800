"""The check after an attack: every record has exactly one outcome, which matches its bytes."""

from collections.abc import Callable

from tests.support.stream import Stream

Say = Callable[[str], None]
SHOWN = 5


def right(stream: Stream, sent: int, say: Say, name: str, *, shared_ids: bool = False) -> bool:
    """
    Count the stream's outcomes, compare them with an in-process scan, and say what was seen.

    With `shared_ids` two records may carry one event id and so one flag id: flags then count by their records alone.
    """
    counted, content = stream.audit(), stream.content_audit()
    say(f"{name}: {counted.summary()}, {len(counted.stray)} stray; {content.summary()}")
    for line in (*counted.lost[:SHOWN], *counted.duplicated[:SHOWN], *counted.stray[:SHOWN], *content.wrong[:SHOWN]):
        say(f"{name}:   {line}")
    doubled = [line for line in counted.duplicated if not (shared_ids and line.startswith("flag of"))]
    whole = not (counted.lost or doubled or counted.stray or content.wrong)
    return whole and counted.records == sent == content.compared
