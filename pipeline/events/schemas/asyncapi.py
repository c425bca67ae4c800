"""AsyncAPI 3 document of the topics, generated from the models of their records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.events.decisions import Decision
from pipeline.events.policies import PolicySet
from pipeline.events.releases import Release
from pipeline.events.schemas.json_schema import DESCRIBED, shared_schemas
from pipeline.events.wire.dead_letter import DeadLetterHeaders
from pipeline.events.wire.embedding import CONTENT_TYPE, EmbeddingHeaders
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.handling import Handling
from pipeline.events.wire.headers import EventHeaders
from pipeline.events.wire.input import IMAGE_MESSAGE, REFERENCE_MESSAGE
from pipeline.events.wire.requeue import RequeueHeaders
from pipeline.events.wire.verdict import VerdictRecord

_SCHEMAS = "#/components/schemas/{model}"
_JSON = "application/json"
_DESCRIPTION = (
    "Records that go in and come out, as Kafka records in the binary mode of the CloudEvents Kafka binding. Topic "
    "names are settings; these are their defaults. The output topics are written in transactions: read them at "
    "`read_committed`. `ce_type` ends with the version of a record. A version may gain fields: ignore those that "
    "you do not know."
)


@dataclass(frozen=True, slots=True)
class _Channel:
    """A topic: the direction of its records, seen from Watchword, and the messages on it."""

    name: str
    action: Literal["send", "receive"]
    messages: tuple[str, ...]
    description: str = ""

    @property
    def operation(self) -> str:
        verb = "emit" if self.action == "send" else "receive"
        return f"{verb}{self.name[0].upper()}{self.name[1:]}"


_CHANNELS = (
    _Channel(
        "images",
        "receive",
        ("image", "reference", "requeued"),
        "`watchword dead-letters requeue` puts records back here, in transactions.",
    ),
    _Channel("flags", "send", ("flag",)),
    _Channel("verdicts", "send", ("verdict",)),
    _Channel("embeddings", "send", ("embedding",)),
    _Channel("deadLetters", "send", ("deadLetter",)),
    _Channel(
        "policies",
        "receive",
        ("policySet", "release"),
        "Compacted, one partition. The key names the record: `set/<digest>` a policy set, `version/<n>` and `current` "
        "a release.",
    ),
    _Channel(
        "decisions",
        "receive",
        ("decision",),
        "Compacted, one partition. The key names the policy, the source and the event id, a line each.",
    ),
    _Channel(
        "deadLetterHandling",
        "send",
        ("deadLetterHandling",),
        "One partition; every record is kept. The key names the input record: its position, its timestamp and the "
        "SHA-256 of its value, a line each.",
    ),
)
CHANNELS = tuple(channel.name for channel in _CHANNELS)


def asyncapi(topics: Mapping[str, str]) -> dict[str, Any]:
    """Return the document. `topics`: the default name of the topic of each of `CHANNELS`."""
    refs, schemas = shared_schemas(_SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Watchword",
            "version": str(max(record.VERSION for record in DESCRIBED)),
            "description": _DESCRIPTION,
        },
        "defaultContentType": _JSON,
        "channels": {channel.name: _channel(channel, topics[channel.name]) for channel in _CHANNELS},
        "operations": {
            channel.operation: {"action": channel.action, "channel": {"$ref": f"#/channels/{channel.name}"}}
            for channel in _CHANNELS
        },
        "components": {"messages": _messages(refs), "schemas": schemas},
    }


def _channel(channel: _Channel, topic: str) -> dict[str, Any]:
    description = {"description": channel.description} if channel.description else {}
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages}
    return {"address": topic, **description, "messages": messages}


def _messages(refs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    headers = refs[EventHeaders.__name__]
    thumbnail = {"properties": {"thumbnail": {"description": "A small JPEG, with WATCHWORD_ARCHIVE_THUMBNAILS only."}}}
    return {
        "image": IMAGE_MESSAGE,
        "reference": REFERENCE_MESSAGE,
        "flag": _json("The yes of one enforced policy about one image.", refs[FlagRecord.__name__], headers),
        "verdict": _json("The answers of all policies about one image.", refs[VerdictRecord.__name__], headers),
        "embedding": {
            "summary": "The embedding that was judged. The value is `dimension` little-endian float16 numbers.",
            "contentType": CONTENT_TYPE,
            "headers": {"allOf": [headers, refs[EmbeddingHeaders.__name__], {"type": "object", **thumbnail}]},
            "payload": {"description": "The bytes."},
        },
        "deadLetter": {
            "summary": "An input record that cannot be judged, with its key, value and headers, its position and the "
            "reason.",
            "headers": refs[DeadLetterHeaders.__name__],
            "payload": {"description": "The input record's value."},
        },
        "requeued": {
            "summary": "An image or a reference that was requeued from its dead letter: the record as it was, with "
            "these headers after its own.",
            "headers": refs[RequeueHeaders.__name__],
            "payload": {"description": "The record's value as it was."},
        },
        "deadLetterHandling": _json("What was done with a dead letter.", refs[Handling.__name__], headers),
        "policySet": _json("A policy set in full, under its digest.", refs[PolicySet.__name__]),
        "release": _json(
            "A policy set made the active one; the release under `current` is the last.", refs[Release.__name__]
        ),
        "decision": _json("A person's decision about one policy and one event.", refs[Decision.__name__], headers),
    }


def _json(summary: str, payload: dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    about = {"headers": headers} if headers else {}
    return {"summary": summary, "contentType": _JSON, **about, "payload": payload}
