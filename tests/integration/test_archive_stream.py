"""The archiver on a real broker, with the embeddings of a worker."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.dataset import Archive, vectors_of
from pipeline.encode.local import LocalEncoder
from tests.support.archiving import COMMAND, kill_and_count, send_embeddings
from tests.support.http import get
from tests.support.ports import free_ports
from tests.support.publishing import publish_edits, published_stream, two_policies
from tests.support.recounting import archive_all, recount_all
from tests.support.stream import Stack, Stream, header
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_every_embedding_is_archived_once_although_the_archiver_is_killed(stack: Stack, tmp_path: Path) -> None:
    with Stream(stack, tmp_path) as stream:
        send_embeddings(stream, 6000)
        kept = kill_and_count(stream, tmp_path / "archive", count=6000, kills=3, seed=5)
        assert (kept.rows, kept.doubled, kept.missing, kept.altered) == (6000, 0, 0, 0)


def test_a_judged_image_is_archived_with_all_its_metadata(stack: Stack, tmp_path: Path, samples: Path) -> None:
    photographs = sorted((samples / "images/watch").iterdir())
    archive, [port] = Archive(str(tmp_path / "archive")), free_ports(1)
    served = {"WATCHWORD_HTTP_PORT": str(port), "WATCHWORD_ARCHIVE": archive.address}
    with Stream(stack, tmp_path) as stream:
        stream.send(
            stream.image(path.name, path.read_bytes(), extensions={"region": "eu", "surface": "listing"})
            for path in photographs
        )
        stream.worker()
        stream.worker((*COMMAND, "--serve"), WATCHWORD_ARCHIVE_FLUSH_S="0.2", **served)
        stream.wait_until_committed(len(photographs))
        wait_until(lambda: bool(archive.models()), 60, "the archive")
        [model] = archive.models()
        wait_until(lambda: archive.count(model) == len(photographs), 30, "all of them archived")
        stored = f"watchword_archive_embeddings_total {float(len(photographs))}"
        wait_until(lambda: stored in get(port, "/metrics")[1], 10, "the archiver's metrics")
        assert (get(port, "/healthz")[0], get(port, "/readyz")[0]) == (200, 200)
        sent = {header(each, "event-id"): each.value for each in stream.records(stream.settings.topic_embeddings)}
        verdicts = {each["event"]["id"]: each for each in stream.verdicts()}
        columns = ["event_id", "source", "attributes", "content", "policy_set", "vector"]
        for batch in archive.scan(model, columns):
            vectors = vectors_of(batch)
            for index, row in enumerate(batch.select(columns[:-1]).to_pylist()):
                verdict = verdicts[row["event_id"]]
                assert vectors[index].astype("<f2").tobytes() == sent[row["event_id"]]
                assert json.loads(row["attributes"]) == verdict["event"]["attributes"]
                assert (row["source"], row["content"]) == ("tests", verdict["image"]["content_digest"])
                assert row["policy_set"] == verdict["policy_set_digest"]
                assert verdict["model_digest"] == model
        assert np.unique([header(each, "origin") for each in stream.records(stream.settings.topic_embeddings)]).size


@pytest.mark.slow
def test_archived_embeddings_judged_by_their_sets_give_the_same_flags(
    stack: Stack, tmp_path: Path, samples: Path, encoder: LocalEncoder
) -> None:
    """This holds although the policy set changes three times while the stream runs."""
    archive = Archive(str(tmp_path / "archive"))
    photographs = sorted((samples / "images").rglob("*.jpg"))[::2]
    with published_stream(stack, tmp_path, WATCHWORD_CHUNK_MAX_RECORDS="32") as stream:
        folder = two_policies(tmp_path / "edited")
        outcome = publish_edits(stream, folder, photographs, images=480, changes=3)
        model = archive_all(stream, archive, 480)
        found = recount_all(stream, archive, model, outcome.published, encoder, sample=40)
        assert (found.different, found.unconfirmed) == (0, ())
        assert found.flags > 50
        assert found.explained == 40
        assert len(outcome.judged_by) >= 3
