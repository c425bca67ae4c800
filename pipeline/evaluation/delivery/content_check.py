"""Content of a stream's outcomes: each verdict's scores and flags against an in-process scan of the same bytes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.ports import ImageEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UnreadableRecord
from pipeline.evaluation.offline.scan import scan
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Origin, Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.model import JsonRecord
from pipeline.events.wire.verdict import VerdictRecord
from pipeline.ingest.decoder import build_decoder
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings

# Largest difference of two scores when two engines round an embedding to neighbouring float16 values.
SCORE_TOLERANCE = 1e-2
REMEMBERED = 4096
BATCH = 32

RecordT = TypeVar("RecordT", bound=JsonRecord)


@dataclass(frozen=True, slots=True)
class ContentAudit:
    """
    Outcomes compared with an in-process scan of the same records.

    `wrong` has a line for each difference: another kind of outcome, other flags, a score that differs by more than
    rounding, or a digest that does not match the bytes or the model.
    """

    compared: int
    wrong: tuple[str, ...]

    def summary(self) -> str:
        """Return the counts in one line."""
        return f"{counted(self.compared, 'outcome')} compared with an in-process scan, {len(self.wrong)} wrong"


class RememberingEncoder:
    """An encoder that computes each image only once, because the checks send the same photographs many times."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.model_digest = encoder.model_digest
        self._encoder = encoder
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3] to float32 [N, D], unit length."""
        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in self._known}
        if missing:
            found = self._encoder.encode_images(np.stack(list(missing.values())))
            self._known |= dict(zip(missing, found, strict=True))
        return np.stack([self._known[key] for key in keys])


def audit_content(
    records: Sequence[Record],
    verdicts: Iterable[Record],
    flags: Iterable[Record],
    dead_letters: Iterable[Record],
    settings: Settings,
) -> ContentAudit:
    """
    Judge `records` in process, with a worker's settings, and compare each outcome with the stream's.

    Records without an outcome are skipped: `check_delivery` counts them, and records with two outcomes. An outcome that
    cannot be read counts as wrong.
    """
    wrong: list[str] = []
    judged = {verdict.origin: verdict for verdict in _readable(verdicts, VerdictRecord, wrong)}
    rejected = {letter.origin: letter for letter in map(DeadLetterRecord.parse, dead_letters)}
    emitted: dict[Origin, list[str]] = {}
    for flag in _readable(flags, FlagRecord, wrong):
        emitted.setdefault(flag.origin, []).append(flag.policy.id)
    expected = _scan(records, settings)
    compared = 0
    for record, outcome in zip(records, expected, strict=True):
        origin = record.origin
        if origin not in judged and origin not in rejected:
            continue
        compared += 1
        found = _compare(outcome, judged.get(origin), rejected.get(origin), emitted.get(origin, []))
        wrong += [f"{origin}: {line}" for line in found]
    return ContentAudit(compared, tuple(wrong))


def _scan(records: Sequence[Record], settings: Settings) -> Iterator[Verdict | DeadLetter]:
    bundle = Bundle.load(settings.model)
    encoder = LocalEncoder(bundle, threads=1)
    judge = Judge(build_prompt_bank(load_policy_set(settings.policies), encoder))
    decoder = build_decoder(settings, bundle.pixels)
    decoder = replace(decoder, decode=lru_cache(REMEMBERED)(decoder.decode))
    return scan(records, decoder=decoder, encoder=RememberingEncoder(encoder), judge=judge, batch_size=BATCH, threads=2)


def _readable(records: Iterable[Record], kind: type[RecordT], wrong: list[str]) -> Iterator[RecordT]:
    """Yield the outcomes that can be read, and add a line to `wrong` for each of the others."""
    for record in records:
        try:
            yield kind.parse(record)
        except UnreadableRecord as error:
            wrong.append(str(error))


def _compare(
    expected: Verdict | DeadLetter, verdict: VerdictRecord | None, letter: DeadLetterRecord | None, flags: list[str]
) -> Iterator[str]:
    if isinstance(expected, DeadLetter):
        reason = letter.own.reason if letter is not None else "judged"
        if reason != expected.reason:
            yield f"{reason}, expected {expected.reason}"
    elif verdict is None:
        assert letter is not None
        yield f"dead letter {letter.own.reason}, expected a verdict"
    else:
        yield from _compare_verdict(expected, verdict, flags)


def _compare_verdict(expected: Verdict, verdict: VerdictRecord, flags: list[str]) -> Iterator[str]:
    digests = {
        "content_digest": (verdict.image.content_digest, expected.image.content_digest),
        "model_digest": (verdict.model_digest, expected.model_digest),
        "policy_set_digest": (verdict.policy_set_digest, expected.policy_set.digest),
    }
    for name, (found, true) in digests.items():
        if found != true:
            yield f"{name} {found[:12]}, expected {true[:12]}"
    answers = {policy.id: (score, flagged) for policy, score, flagged in expected.answers()}
    found_answers = {each.id: each for each in verdict.policies}
    if found_answers.keys() != answers.keys():
        yield f"policies {sorted(found_answers.keys() ^ answers.keys())} are answered by one of the two"
    for policy_id in found_answers.keys() & answers.keys():
        (score, flagged), answer = answers[policy_id], found_answers[policy_id]
        if not abs(answer.score - score) <= SCORE_TOLERANCE:
            yield f"{policy_id}: score {answer.score}, expected {score:.4f}"
        elif answer.flagged != flagged:
            yield f"{policy_id}: flagged {answer.flagged}, expected {flagged}"
    required = sorted(flag.policy.id for flag in expected.flags)
    if sorted(flags) != required:
        yield f"flag events {sorted(flags)}, expected {required}"
