"""Outcomes as they stand on the wire: CloudEvents in binary mode. The contract is docs/events.asyncapi.yaml."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from pipeline.emit.encoded import Encoded, rfc3339
from pipeline.events.calibration import Calibration
from pipeline.events.outcomes import FLAG_NAMESPACE, FlagEvent, Raise, Verdict
from pipeline.events.records import Headers, Reference

SOURCE = "watchword"


def flag_record(verdict: Verdict, flag: FlagEvent) -> Encoded:
    """Return a flag event as JSON."""
    return _json_event(str(flag.flag_id), "watchword.flag.v1", verdict, flag_fields(verdict, flag))


def verdict_record(verdict: Verdict) -> Encoded:
    """Return a verdict as JSON."""
    event = verdict.image.event
    return _json_event(
        _output_id("verdict", event.source, event.id),
        "watchword.verdict.v1",
        verdict,
        {
            **_about(verdict),
            "audit": {"probability": verdict.audit} if verdict.audit is not None else None,
            "policies": list(_policies(verdict)),
        },
    )


def embedding_record(verdict: Verdict) -> Encoded:
    """Return an embedding as little-endian float16 bytes, what it is of and any thumbnail in the headers."""
    event = verdict.image.event
    headers = cloud_event(_output_id("embedding", event.source, event.id), "watchword.embedding.v1", verdict.time)
    about = {
        "content-type": "application/octet-stream",
        "dtype": "float16-le",
        "dimension": str(len(verdict.embedding)),
        "model-digest": verdict.model_digest,
        "content-digest": verdict.image.content_digest,
        "event-id": event.id,
        "event-source": event.source,
        "event-time": rfc3339(event.time) if event.time else "",
        "event-reference": event.content.uri if isinstance(event.content, Reference) else "",
        "event-attributes": orjson.dumps(dict(event.attributes)).decode(),
        "policy-set-digest": verdict.policy_set.digest,
        "origin": str(event.origin),
    }
    value = verdict.embedding.astype("<f2").tobytes()
    told = tuple((name, text.encode()) for name, text in about.items())
    small = (("thumbnail", verdict.image.thumbnail),) if verdict.image.thumbnail and not _kept_back(verdict) else ()
    return Encoded(event.id.encode(), value, (*headers, *told, *small))


def flag_fields(verdict: Verdict, flag: FlagEvent) -> dict[str, Any]:
    """Return the fields of a flag event."""
    policy = flag.policy
    return {
        "flag_id": str(flag.flag_id),
        **_about(verdict),
        "policy": {
            "id": policy.id,
            "title": policy.title,
            "digest": policy.digest,
            "severity": flag.severity.value,
            "action": policy.action,
            "owner": policy.owner,
            "labels": dict(policy.labels),
        },
        "score": flag.score,
        "threshold": policy.threshold,
        "provisional": policy.provisional,
        "raised_by": [_raise(each) for each in flag.raised_by],
        "calibration": _calibration(policy.calibration, flag.score),
        "similarities": [
            {"kind": each.kind, "prompt": each.prompt, "similarity": each.similarity} for each in flag.similarities
        ],
    }


def _kept_back(verdict: Verdict) -> bool:
    """Tell whether a restricted policy flags the image."""
    return any(policy.restricted and flagged for policy, _, flagged in verdict.answers())


def _about(verdict: Verdict) -> dict[str, Any]:
    event, picture = verdict.image.event, verdict.image.picture
    return {
        "event": {
            "id": event.id,
            "source": event.source,
            "time": rfc3339(event.time) if event.time else None,
            "attributes": dict(event.attributes),
        },
        "origin": {
            "topic": event.origin.topic,
            "partition": event.origin.partition,
            "offset": event.origin.offset,
        },
        "image": {
            "content_digest": verdict.image.content_digest,
            "format": picture.format,
            "width": picture.width,
            "height": picture.height,
            "first_frame_only": picture.animated,
        },
        "model_digest": verdict.model_digest,
        "policy_set_digest": verdict.policy_set.digest,
        "time": rfc3339(verdict.time),
    }


def _calibration(calibration: Calibration | None, score: float) -> dict[str, Any] | None:
    if calibration is None:
        return None
    curve = calibration.probability
    return {
        "digest": calibration.digest,
        "precision": calibration.precision,
        "confidence": calibration.confidence,
        "probability": curve.probability(score) if curve is not None else None,
        "stale": list(calibration.stale),
    }


def _raise(each: Raise) -> dict[str, Any]:
    policy = each.policy
    return {
        "id": policy.id,
        "digest": policy.digest,
        "severity": policy.severity.value,
        "score": each.score,
        "threshold": policy.threshold,
        "provisional": policy.provisional,
    }


def _policies(verdict: Verdict) -> Iterator[dict[str, Any]]:
    for policy, score, flagged in verdict.answers():
        yield {
            "id": policy.id,
            "digest": policy.digest,
            "mode": policy.mode.value,
            "score": score,
            "threshold": policy.threshold,
            "provisional": policy.provisional,
            "flagged": flagged,
        }


def _output_id(kind: str, source: str, event_id: str) -> str:
    name: UUID = uuid5(FLAG_NAMESPACE, f"{kind}\n{source}\n{event_id}")
    return str(name)


def _json_event(output_id: str, kind: str, verdict: Verdict, fields: dict[str, Any]) -> Encoded:
    value = orjson.dumps(fields)
    headers = (*cloud_event(output_id, kind, verdict.time), ("content-type", b"application/json"))
    return Encoded(verdict.image.event.id.encode(), value, headers)


def cloud_event(output_id: str, kind: str, time: datetime) -> Headers:
    """Return the headers of an output."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", output_id.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", kind.encode()),
        ("ce_time", rfc3339(time).encode()),
    )
