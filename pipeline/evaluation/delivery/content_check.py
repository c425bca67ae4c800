"""Hold what a stream put out against what the same bytes give in process: every verdict's scores and flags."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.ports import ImageEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.delivery.delivery_check import Place, dead_letter_place, origin_place, record_header
from pipeline.evaluation.offline.scan import scan
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Record
from pipeline.ingest.decoder import build_decoder
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings

# Two engines' float32 may round an embedding's float16 to different neighbours: what that does to a score.
SCORE_TOLERANCE = 1e-2
REMEMBERED = 4096
BATCH = 32


@dataclass(frozen=True, slots=True)
class ContentAudit:
    """
    Outcomes held against an in-process scan of the same records.

    `wrong` has a line for each that differs: another kind of outcome, other flags, a score further away than two
    engines' rounding, or digests that are not those of the bytes and the model.
    """

    compared: int
    wrong: tuple[str, ...]

    def summary(self) -> str:
        """Return the counts in one line."""
        return f"{self.compared} outcomes compared with an in-process scan, {len(self.wrong)} wrong"


class RememberingEncoder:
    """An encoder that computes each image once: proofs send the same photographs again and again."""

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
    Judge `records` in process, by a worker's settings, and compare what the stream said of each.

    Records without an outcome, or with two, are not this audit's matter: `audit` counts those.
    """
    judged = {origin_place(fields): fields for fields in map(_fields, verdicts)}
    refused = {dead_letter_place(letter): letter for letter in dead_letters}
    emitted: dict[Place, list[str]] = {}
    for fields in map(_fields, flags):
        emitted.setdefault(origin_place(fields), []).append(fields["policy"]["id"])
    expected = _scan(records, settings)
    wrong: list[str] = []
    compared = 0
    for record, outcome in zip(records, expected, strict=True):
        place = (record.origin.topic, record.origin.partition, record.origin.offset)
        if place not in judged and place not in refused:
            continue
        compared += 1
        found = _compare(outcome, judged.get(place), refused.get(place), emitted.get(place, []))
        wrong += [f"{record.origin}: {line}" for line in found]
    return ContentAudit(compared, tuple(wrong))


def _scan(records: Sequence[Record], settings: Settings) -> Iterator[Verdict | DeadLetter]:
    bundle = Bundle.load(settings.model)
    encoder = LocalEncoder(bundle, threads=1)
    judge = Judge(build_prompt_bank(load_policy_set(settings.policies), encoder))
    decoder = build_decoder(settings, bundle.pixels)
    decoder = replace(decoder, decode=lru_cache(REMEMBERED)(decoder.decode))
    return scan(records, decoder=decoder, encoder=RememberingEncoder(encoder), judge=judge, batch_size=BATCH, threads=2)


def _compare(
    expected: Verdict | DeadLetter, fields: dict[str, Any] | None, letter: Record | None, flags: list[str]
) -> Iterator[str]:
    if isinstance(expected, DeadLetter):
        reason = record_header(letter, "watchword-reason") if letter is not None else "judged"
        if reason != expected.reason:
            yield f"{reason}, expected {expected.reason}"
    elif fields is None:
        assert letter is not None
        yield f"dead letter {record_header(letter, 'watchword-reason')}, expected a verdict"
    else:
        yield from _compare_verdict(expected, fields, flags)


def _compare_verdict(expected: Verdict, fields: Mapping[str, Any], flags: list[str]) -> Iterator[str]:
    digests = {
        "content_digest": (fields["image"]["content_digest"], expected.image.content_digest),
        "model_digest": (fields["model_digest"], expected.model_digest),
        "policy_set_digest": (fields["policy_set_digest"], expected.policy_set.digest),
    }
    for name, (said, true) in digests.items():
        if said != true:
            yield f"{name} {said[:12]}, expected {true[:12]}"
    answers = {policy.id: (score, flagged) for policy, score, flagged in expected.answers()}
    said_of = {each["id"]: each for each in fields["policies"]}
    if said_of.keys() != answers.keys():
        yield f"policies {sorted(said_of.keys() ^ answers.keys())} are answered by one of the two"
    for policy_id in said_of.keys() & answers.keys():
        (score, flagged), said = answers[policy_id], said_of[policy_id]
        if said["score"] is None or not abs(said["score"] - score) <= SCORE_TOLERANCE:
            yield f"{policy_id}: score {said['score']}, expected {score:.4f}"
        elif said["flagged"] != flagged:
            yield f"{policy_id}: flagged {said['flagged']}, expected {flagged}"
    called_for = sorted(flag.policy.id for flag in expected.flags)
    if sorted(flags) != called_for:
        yield f"flag events {sorted(flags)}, expected {called_for}"


def _fields(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record.value or b"")
    return fields
