"""The judgement of an attack: every record its outcome once, and the one that its bytes give."""

from collections.abc import Callable

from tests.support.stream import Stream

Say = Callable[[str], None]
SHOWN = 5


def right(stream: Stream, sent: int, say: Say, name: str, *, missing: int = 0) -> bool:
    """Count the stream's outcomes, compare them with an in-process scan, and say what was seen."""
    counted, content = stream.audit(), stream.content_audit()
    say(f"{name}: {counted.summary()}, {len(counted.stray)} stray; {content.summary()}")
    for line in (*counted.lost[:SHOWN], *counted.duplicated[:SHOWN], *counted.stray[:SHOWN], *content.wrong[:SHOWN]):
        say(f"{name}:   {line}")
    whole = counted.adds_up and not content.wrong
    return whole and counted.records == sent - missing and content.compared == counted.records
