"""Outcomes as records of their topics: CloudEvents in binary mode. The contract is docs/events.asyncapi.yaml."""

from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid5

import orjson

from pipeline.emit.encoded import Encoded
from pipeline.events.calibration import Calibration
from pipeline.events.outcomes import FLAG_NAMESPACE, FlagEvent, Raise, Verdict
from pipeline.events.records import Headers, Reference
from pipeline.events.times import rfc3339
from pipeline.events.wire.embedding import CONTENT_TYPE, THUMBNAIL, EmbeddingHeaders, EmbeddingRecord
from pipeline.events.wire.flag import FlagCalibration, FlagPolicy, FlagRecord, RaisedBy
from pipeline.events.wire.headers import EventHeaders
from pipeline.events.wire.model import WireRecord
from pipeline.events.wire.parts import EventFields, ImageFields
from pipeline.events.wire.verdict import AuditDraw, PolicyAnswer, VerdictRecord


def flag_record(verdict: Verdict, flag: FlagEvent) -> Encoded:
    """Return the record of a flag event."""
    content = flag_content(verdict, flag)
    return _json_event(content.flag_id, content, verdict.image.event.traceparent)


def verdict_record(verdict: Verdict) -> Encoded:
    """Return the record of a verdict."""
    return _json_event(_output_id(VerdictRecord, verdict), verdict_content(verdict), verdict.image.event.traceparent)


def embedding_record(verdict: Verdict) -> Encoded:
    """
    Return the record of an embedding: little-endian float16 bytes, with all else, and any thumbnail, in headers.
    """
    event = verdict.image.event
    about = EmbeddingHeaders(
        dtype="float16-le",
        dimension=str(len(verdict.embedding)),
        model_digest=verdict.model_digest,
        content_digest=verdict.image.content_digest,
        event_id=event.id,
        event_source=event.source,
        event_time=rfc3339(event.time) if event.time else "",
        event_reference=event.content.uri if isinstance(event.content, Reference) else "",
        event_attributes=orjson.dumps(dict(event.attributes)).decode(),
        policy_set_digest=verdict.policy_set.digest,
        origin=str(event.origin),
    )
    headers = EventHeaders(
        ce_id=_output_id(EmbeddingRecord, verdict),
        ce_type=EmbeddingRecord.event_type(),
        ce_time=rfc3339(verdict.time),
        content_type=CONTENT_TYPE,
        traceparent=event.traceparent,
    ).headers()
    small = ((THUMBNAIL, verdict.image.thumbnail),) if verdict.image.thumbnail and not _withheld(verdict) else ()
    value = verdict.embedding.astype("<f2").tobytes()
    return Encoded(event.id.encode(), value, (*headers, *about.headers(), *small))


def verdict_content(verdict: Verdict) -> VerdictRecord:
    """Return the content of a verdict's record."""
    return VerdictRecord(
        event=_event(verdict),
        origin=verdict.image.event.origin,
        image=_image(verdict),
        model_digest=verdict.model_digest,
        policy_set_digest=verdict.policy_set.digest,
        time=rfc3339(verdict.time),
        audit=AuditDraw(probability=verdict.audit) if verdict.audit is not None else None,
        policies=_answers(verdict),
    )


def flag_content(verdict: Verdict, flag: FlagEvent) -> FlagRecord:
    """Return the content of a flag event's record."""
    policy = flag.policy
    return FlagRecord(
        flag_id=str(flag.flag_id),
        event=_event(verdict),
        origin=verdict.image.event.origin,
        image=_image(verdict),
        model_digest=verdict.model_digest,
        policy_set_digest=verdict.policy_set.digest,
        time=rfc3339(verdict.time),
        policy=FlagPolicy(
            id=policy.id,
            title=policy.title,
            digest=policy.digest,
            severity=flag.severity,
            action=policy.action,
            owner=policy.owner,
            labels=dict(policy.labels),
        ),
        score=flag.score,
        threshold=policy.threshold,
        provisional=policy.provisional,
        raised_by=tuple([_raised_by(each) for each in flag.raised_by]),
        calibration=_calibration(policy.calibration, flag.score),
        similarities=flag.similarities,
    )


def flag_fields(verdict: Verdict, flag: FlagEvent) -> dict[str, Any]:
    """Return the content of a flag event's record as plain values."""
    return asdict(flag_content(verdict, flag))


def cloud_event(kind: type[WireRecord], record_id: str, time: str, traceparent: str | None = None) -> Headers:
    """Return the CloudEvents headers of a JSON record; `time` is RFC 3339, `traceparent` W3C trace context."""
    return EventHeaders(ce_id=record_id, ce_type=kind.event_type(), ce_time=time, traceparent=traceparent).headers()


def _withheld(verdict: Verdict) -> bool:
    """Tell whether a restricted policy flags the image."""
    return any(policy.restricted and flagged for policy, _, flagged in verdict.answers())


def _event(verdict: Verdict) -> EventFields:
    event = verdict.image.event
    return EventFields(
        id=event.id,
        source=event.source,
        time=rfc3339(event.time) if event.time else None,
        attributes=dict(event.attributes),
    )


def _image(verdict: Verdict) -> ImageFields:
    picture = verdict.image.picture
    return ImageFields(
        content_digest=verdict.image.content_digest,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        first_frame_only=picture.animated,
    )


def _answers(verdict: Verdict) -> tuple[PolicyAnswer, ...]:
    return tuple(
        [
            PolicyAnswer(
                id=policy.id,
                digest=policy.digest,
                mode=policy.mode,
                score=score,
                threshold=policy.threshold,
                provisional=policy.provisional,
                flagged=flagged,
            )
            for policy, score, flagged in verdict.answers()
        ]
    )


def _raised_by(each: Raise) -> RaisedBy:
    policy = each.policy
    return RaisedBy(
        id=policy.id,
        digest=policy.digest,
        severity=policy.severity,
        score=each.score,
        threshold=policy.threshold,
        provisional=policy.provisional,
    )


def _calibration(calibration: Calibration | None, score: float) -> FlagCalibration | None:
    if calibration is None:
        return None
    curve = calibration.probability
    return FlagCalibration(
        digest=calibration.digest,
        precision=calibration.precision,
        confidence=calibration.confidence,
        probability=curve.probability(score) if curve is not None else None,
        stale=calibration.stale,
    )


def _output_id(kind: type[WireRecord], verdict: Verdict) -> str:
    event = verdict.image.event
    name: UUID = uuid5(FLAG_NAMESPACE, f"{kind.KIND}\n{event.source}\n{event.id}")
    return str(name)


def _json_event(record_id: str, content: VerdictRecord | FlagRecord, traceparent: str | None) -> Encoded:
    headers = cloud_event(type(content), record_id, content.time, traceparent)
    return Encoded(content.event.id.encode(), orjson.dumps(content), headers)
