"""Headers of a requeued record: an input record that was put back on the input topic from its dead letter."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.events.records import Headers
from pipeline.events.wire.headers import HeaderFields, header_model
from pipeline.events.wire.parts import Number
from pipeline.events.wire.versions import header_text

_COUNT = re.compile("[0-9]{1,9}")


@header_model
class RequeueHeaders(HeaderFields):
    """Headers that Watchword adds to a requeued record, after the record's own. A later dead letter keeps them."""

    PREFIX: ClassVar[str] = "watchword-"

    requeued_from: Annotated[
        str,
        Field(
            pattern="^[^/]+/[0-9]{1,10}/[0-9]{1,19}$",
            description="Position, topic/partition/offset, at which the record became a dead letter.",
        ),
    ]
    attempt: Annotated[
        Number,
        Field(description="Number of times that the record was on the input topic: 2 when it is requeued first."),
    ]


def attempt_of(headers: Headers) -> int:
    """Return the attempt that a record's headers name; 1 if they name none, or one that is not a number."""
    text = header_text(headers, "watchword-attempt") or ""
    return max(1, int(text)) if _COUNT.fullmatch(text) else 1
