"""The archive's writer on a real broker, and what a worker sends it."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.dataset import Archive, vectors_of
from tests.support.archiving import COMMAND, kill_and_count, send_embeddings
from tests.support.stream import Stack, Stream, header
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_every_embedding_is_archived_once_though_the_writer_is_killed(stack: Stack, tmp_path: Path) -> None:
    with Stream(stack, tmp_path) as stream:
        send_embeddings(stream, 6000)
        kept = kill_and_count(stream, tmp_path / "archive", count=6000, kills=3, seed=5)
        assert (kept.rows, kept.doubled, kept.missing, kept.altered) == (6000, 0, 0, 0)


def test_what_a_worker_judged_is_archived_with_all_that_is_known_of_it(
    stack: Stack, tmp_path: Path, samples: Path
) -> None:
    photographs = sorted((samples / "images/watch").iterdir())
    archive = Archive(str(tmp_path / "archive"))
    with Stream(stack, tmp_path) as stream:
        stream.send(
            stream.image(path.name, path.read_bytes(), extensions={"region": "eu", "surface": "listing"})
            for path in photographs
        )
        stream.worker()
        stream.worker(COMMAND, WATCHWORD_ARCHIVE=archive.address, WATCHWORD_ARCHIVE_FLUSH_S="0.2")
        stream.wait_until_committed(len(photographs))
        wait_until(lambda: bool(archive.models()), 60, "the archive")
        [model] = archive.models()
        wait_until(lambda: archive.count(model) == len(photographs), 30, "all of them archived")
        sent = {header(each, "event-id"): each.value for each in stream.records(stream.settings.topic_embeddings)}
        verdicts = {each["event"]["id"]: each for each in stream.verdicts()}
        columns = ["event_id", "source", "attributes", "content", "policy_set", "vector"]
        for batch in archive.scan(model, columns):
            vectors = vectors_of(batch)
            for place, row in enumerate(batch.select(columns[:-1]).to_pylist()):
                verdict = verdicts[row["event_id"]]
                assert vectors[place].astype("<f2").tobytes() == sent[row["event_id"]]
                assert json.loads(row["attributes"]) == verdict["event"]["attributes"]
                assert (row["source"], row["content"]) == ("tests", verdict["image"]["content_digest"])
                assert row["policy_set"] == verdict["policy_set_digest"]
                assert verdict["model_digest"] == model
        assert np.unique([header(each, "origin") for each in stream.records(stream.settings.topic_embeddings)]).size
