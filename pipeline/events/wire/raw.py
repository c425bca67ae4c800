"""Raw values: the JSON of a record for output, whether or not it is a record that a model can read."""

from typing import Any

import orjson

from pipeline.events.records import Record


def json_value(record: Record) -> Any:
    """Return the JSON value of a record; None if it is not JSON."""
    try:
        return orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None


def json_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record; empty if its value is not a JSON object."""
    fields = json_value(record)
    return fields if isinstance(fields, dict) else {}
