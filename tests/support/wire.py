"""Records of a stream's topics with the minimum content that a reader needs."""

from collections.abc import Iterable

import numpy as np
import orjson

from pipeline.emit.dead_letters import dead_letter_record
from pipeline.emit.encoded import Encoded
from pipeline.errors import DeadLetterReason
from pipeline.events.outcomes import DeadLetter, PromptSimilarity
from pipeline.events.policies import Mode, Severity
from pipeline.events.records import Origin, Record
from pipeline.events.wire.embedding import EmbeddingHeaders
from pipeline.events.wire.flag import FlagPolicy, FlagRecord
from pipeline.events.wire.model import JsonRecord
from pipeline.events.wire.parts import EventFields, ImageFields
from pipeline.events.wire.verdict import PolicyAnswer, VerdictRecord
from tests.support.golden.outcomes import TIME

DIGEST = "d" * 64
JUDGED_AT = "2031-05-20T12:30:15.123Z"
OUT = Origin("out", 0, 0)


def answer(policy_id: str, *, flagged: bool = False, mode: Mode = Mode.ENFORCE, **more: object) -> PolicyAnswer:
    fields: dict[str, object] = {"digest": DIGEST, "score": 2.0, "threshold": 1.0, "provisional": False, **more}
    return PolicyAnswer(id=policy_id, mode=mode, flagged=flagged, **fields)  # type: ignore[arg-type]  # by field


def verdict(
    origin: Origin, answers: Iterable[PolicyAnswer] = (), *, event_id: str = "e", policy_set_digest: str = DIGEST
) -> VerdictRecord:
    return VerdictRecord(
        event=_event(event_id),
        origin=origin,
        image=_IMAGE,
        model_digest=DIGEST,
        policy_set_digest=policy_set_digest,
        time=JUDGED_AT,
        audit=None,
        policies=tuple(answers),
    )


def flag(origin: Origin, policy_id: str, flag_id: str = "f") -> FlagRecord:
    return FlagRecord(
        flag_id=flag_id,
        event=_event("e"),
        origin=origin,
        image=_IMAGE,
        model_digest=DIGEST,
        policy_set_digest=DIGEST,
        time=JUDGED_AT,
        policy=FlagPolicy(id=policy_id, title="", digest=DIGEST, severity=Severity.LOW, action="", owner="", labels={}),
        score=2.0,
        threshold=1.0,
        provisional=False,
        raised_by=(),
        calibration=None,
        similarities=(PromptSimilarity("prompt", "a revolver", 0.25),),
    )


def embedding(origin: Origin) -> Record:
    headers = EmbeddingHeaders(
        dtype="float16-le",
        dimension="2",
        model_digest=DIGEST,
        content_digest=DIGEST,
        event_id="e",
        event_source="tests",
        event_time=JUDGED_AT,
        event_attributes="{}",
        policy_set_digest=DIGEST,
        origin=str(origin),
    )
    return Record(OUT, None, np.array([0.6, 0.8], "<f2").tobytes(), headers.headers())


def dead_letter(origin: Origin) -> Record:
    letter = DeadLetter(Record(origin, None, b"x"), DeadLetterReason.CORRUPT_IMAGE, "broken", TIME)
    return read_back(dead_letter_record(letter, 1 << 20))


def record(content: JsonRecord, origin: Origin = OUT) -> Record:
    """Return a record with this content, and no headers."""
    return Record(origin, None, orjson.dumps(content))


def read_back(encoded: Encoded, origin: Origin = OUT) -> Record:
    return Record(origin, encoded.key, encoded.value, encoded.headers)


def _event(event_id: str) -> EventFields:
    return EventFields(id=event_id, source="tests", time=None, attributes={})


_IMAGE = ImageFields(content_digest=DIGEST, format="jpeg", width=2, height=2, first_frame_only=False)
