"""Flags made again from the archive, each verdict by its own set, held against those that were emitted."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.archive.dataset import Archive
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import recount
from pipeline.events.policies import PolicySet
from pipeline.events.records import Origin
from pipeline.judge.explain import explain
from pipeline.judge.score import Judge
from tests.support.archiving import COMMAND
from tests.support.stream import Stream
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Recount:
    """How many flags there are, how many the recount has otherwise, how many were explained and which not proved."""

    flags: int
    different: int
    explained: int
    unproved: tuple[str, ...]


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
    flags = stream.flags()
    emitted = [(flag["event"]["id"], flag["policy"]["id"]) for flag in flags]
    assert len(set(emitted)) == len(emitted)
    assert len(set(again)) == len(again)
    unproved = []
    drawn = random.Random(3).sample(flags, min(sample, len(flags)))
    for flag in drawn:
        origin = flag["origin"]
        found = archive.find(model, str(Origin(origin["topic"], origin["partition"], origin["offset"])))
        assert found is not None
        content, embedding = found
        explained = explain(flag, embedding, content, judges[flag["policy_set_digest"]])
        unproved += [f"{flag['flag_id']}: {each}" for each in explained.differences]
    return Recount(len(flags), len(set(again) ^ set(emitted)), len(drawn), tuple(unproved))
