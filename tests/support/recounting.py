"""Flags recomputed from the archive, each with the policy set of its verdict, and compared with the emitted flags."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.result import Part
from pipeline.events.policies import Mode, PolicySet
from pipeline.events.wire.flag import FlagRecord
from pipeline.judge.decide import decide
from pipeline.judge.explain import explain
from pipeline.judge.score import Judge
from tests.support.archiving import COMMAND
from tests.support.stream import Stream
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Recount:
    """Numbers of emitted flags, of flags that only one side has, and of explained flags; and the unconfirmed ones."""

    flags: int
    different: int
    explained: int
    unconfirmed: tuple[str, ...]


def archive_all(stream: Stream, archive: Archive, images: int, timeout_s: float = 300) -> str:
    """Archive what the stream's workers judged, and return the model's digest."""
    stream.worker(COMMAND, WATCHWORD_ARCHIVE=archive.address, WATCHWORD_ARCHIVE_FLUSH_S="0.2")
    wait_until(lambda: bool(archive.models()), 60, "the archive")
    [model] = archive.models()
    wait_until(lambda: archive.count(model) == images, timeout_s, "all of them archived")
    return model


def recount_all(
    stream: Stream, archive: Archive, model: str, published: Mapping[str, PolicySet], encoder: LocalEncoder, sample: int
) -> Recount:
    """Recount every archived verdict by its own set, and explain `sample` of the flags."""
    judges = {digest: Judge(build_prompt_bank(each, encoder)) for digest, each in published.items()}
    again: list[tuple[str, str]] = []
    for batch in archive.scan(model, [*COLUMNS, "policy_set"]):
        again += recount(judges, part_of(batch), batch.column("policy_set").to_pylist())
    flags = [FlagRecord.parse(record) for record in stream.records(stream.settings.topic_flags)]
    emitted = [(flag.event.id, flag.policy.id) for flag in flags]
    assert len(set(emitted)) == len(emitted)
    assert len(set(again)) == len(again)
    unconfirmed = []
    drawn = random.Random(3).sample(flags, min(sample, len(flags)))
    for flag in drawn:
        found = archive.find(model, str(flag.origin))
        assert found is not None
        content, embedding = found
        explained = explain(flag, embedding, content, judges[flag.policy_set_digest])
        unconfirmed += [f"{flag.flag_id}: {each}" for each in explained.differences]
    return Recount(len(flags), len(set(again) ^ set(emitted)), len(drawn), tuple(unconfirmed))


def recount(judges: Mapping[str, Judge], part: Part, sets: Sequence[str]) -> list[tuple[str, str]]:
    """
    Return the flags, as event id and policy id, of each image by its own set.

    `judges`: by policy set digest; `sets`: the digest of the set that judged each image of `part`.
    """
    found: list[tuple[str, str]] = []
    for digest in sorted(set(sets)):
        chosen = [index for index, each in enumerate(sets) if each == digest]
        policies, judge = judges[digest].bank.policy_set.policies, judges[digest]
        images = [part.images[index] for index in chosen]
        flagged = decide(policies, judge.judge(part.vectors[chosen]).flagged, images).flagged
        found += [
            (images[i].event_id, policies[p].id)
            for i, p in np.argwhere(flagged).tolist()
            if policies[p].mode is Mode.ENFORCE and policies[p].parent is None
        ]
    return found
