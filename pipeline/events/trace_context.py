"""Trace context of input records, as W3C Trace Context defines it."""

import re

from pipeline.events.records import Record

# W3C Trace Context, section 3.2: version 00, ids that are not all zeros.
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid_traceparent(header: bytes | None) -> str | None:
    """Return a valid trace context. An invalid one is ignored, as the specification asks."""
    return header.decode() if header and _TRACEPARENT.fullmatch(header) else None


def traceparent_of(record: Record) -> str | None:
    """Return the trace context of a record, None if it has no valid one; the last header of the name counts."""
    found = [value for name, value in record.headers if name.lower() == "traceparent"]
    return valid_traceparent(found[-1]) if found else None
