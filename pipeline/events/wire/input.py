"""Messages of the input topic, for the AsyncAPI document. `pipeline.ingest.event` reads them."""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string", "minLength": 1}

IMAGE_MESSAGE: Mapping[str, Any] = {
    "summary": "An image. Without `ce_` headers its id is topic/partition/offset and its source the topic.",
    "contentType": "image/*",
    "headers": {
        "type": "object",
        "required": ["ce_id", "ce_source"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": _TEXT,
            "ce_source": _TEXT,
            "ce_type": {"type": "string"},
            "ce_time": {"type": "string", "format": "date-time"},
            "content-type": {"type": "string"},
        },
        "description": "Other `ce_` headers are attributes; they come back with the verdict and the flag.",
    },
    "payload": {"description": "The bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF."},
}
REFERENCE_MESSAGE: Mapping[str, Any] = {
    "summary": "The address of an image that is not in the record.",
    "contentType": "application/json",
    "payload": {
        "type": "object",
        "additionalProperties": False,
        "required": ["uri"],
        "properties": {
            "uri": {
                "type": "string",
                "description": "`file:` under WATCHWORD_FILE_ROOTS, or `http(s):` to a public address.",
            }
        },
    },
}
