"""The archive: every embedding is stored once, models are kept apart, and no file has deleted embeddings."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive, Held, vectors_of
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.archive.search import index, nearest
from pipeline.errors import ArchiveError
from pipeline.events.records import Origin, Record
from tests.support.ports import free_ports

MODEL, OTHER = "a" * 64, "b" * 64
DAY = datetime(2031, 5, 1, tzinfo=UTC)


def row(number: int, model: str = MODEL, dimension: int = 64, content: str = "") -> ArchivedEmbedding:
    vector = np.random.default_rng([number, dimension]).normal(size=dimension).astype(np.float16)
    return ArchivedEmbedding(
        key=f"images/{number % 4}/{number}",
        model=model,
        event_id=f"e{number}",
        source="shop",
        attributes='{"region": "eu"}',
        content=content or f"c{number}",
        time=DAY + timedelta(hours=number),
        policy_set="s" * 64,
        vector=vector,
        reference=f"file:///images/{number}.jpg",
        thumbnail=b"\xff\xd8" + vector.tobytes()[:50] + b"thumbnail %d." % number,
    )


def stored(archive: Archive, model: str = MODEL) -> dict[str, NDArray[np.float16]]:
    found: dict[str, NDArray[np.float16]] = {}
    for batch in archive.scan(model, ["key", "vector"]):
        found |= dict(zip(batch.column("key").to_pylist(), vectors_of(batch), strict=True))
    return found


def unit(vector: NDArray[np.float16]) -> NDArray[np.float32]:
    wide = vector.astype(np.float32)
    return np.asarray(wide / np.linalg.norm(wide))


def holds_bytes(folder: Path, part: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and part in path.read_bytes()]


def test_a_row_is_read_back_unchanged_and_once(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "new/archive"))
    assert archive.models() == []
    assert archive.add([row(n) for n in range(100)]) == 100
    assert archive.add([row(n) for n in range(60, 160)]) == 60, "a range that is written again adds what is new"
    found = stored(archive)
    assert found.keys() == {row(n).key for n in range(160)}
    assert all(np.array_equal(found[row(n).key], row(n).vector) for n in range(160))


def test_models_are_kept_apart(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    assert archive.add([row(1), row(1, OTHER, 32), row(2, OTHER, 32)]) == 3
    assert archive.models() == [MODEL, OTHER]
    assert (archive.count(MODEL), archive.count(OTHER)) == (1, 2)
    with pytest.raises(ArchiveError, match="different dimensions"):
        archive.add([row(3), row(4, dimension=32)])
    with pytest.raises(ArchiveError, match="has no embeddings of the model cccc"):
        archive.count("c" * 64)


def test_concurrent_writers_store_each_row_once(tmp_path: Path) -> None:
    """For example, a writer that seemed dead wakes up, and both store the same range."""
    archives = [Archive(str(tmp_path)) for _ in range(3)]
    failures: list[BaseException] = []

    def write(archive: Archive) -> None:
        try:
            for start in range(0, 400, 50):
                archive.add([row(n) for n in range(start, start + 80)])
        except BaseException as error:  # noqa: BLE001 -- told below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(archive,)) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    keys = [key for batch in archives[0].scan(MODEL, ["key"]) for key in batch.column("key").to_pylist()]
    assert sorted(keys) == sorted({row(n).key for n in range(430)})


def test_a_deleted_embedding_is_in_no_file(tmp_path: Path) -> None:
    """This holds for all models, after compaction. Everything else stays."""
    archive = Archive(str(tmp_path))
    archive.add([row(n, content="gone" if n % 40 == 7 else "") for n in range(100)])
    archive.add([row(n, OTHER, 32, content="gone" if n == 7 else "") for n in range(10)])
    rows = [*(row(n) for n in (7, 47, 87)), row(7, OTHER, 32)]
    gone = [part for each in rows for part in (each.vector.tobytes(), each.thumbnail)]
    assert all(holds_bytes(tmp_path, part) for part in gone)
    assert archive.delete("gone") == 4
    archive.compact()
    archive.purge()
    assert not any(holds_bytes(tmp_path, part) for part in gone)
    assert stored(archive).keys() == {row(n).key for n in range(100) if n % 40 != 7}
    assert holds_bytes(tmp_path, row(8).vector.tobytes()), "the search finds what is there"


def test_a_held_image_never_expires(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.add([row(n) for n in range(10)])
    with pytest.raises(ArchiveError, match="a hold needs a reason"):
        archive.hold("c2", " ")
    assert archive.hold("c2", "order 12/2031") == 1
    assert archive.holds() == [Held("c2", "order 12/2031")]
    with pytest.raises(ArchiveError, match="is held: order 12/2031; release it first"):
        archive.delete("c2")
    assert archive.expire(DAY + timedelta(hours=5)) == 4
    archive.compact()
    assert stored(archive).keys() == {row(n).key for n in (2, 5, 6, 7, 8, 9)}
    assert archive.release("c2") == 1
    assert archive.delete("c2") == 1


def test_an_apostrophe_does_not_end_a_filter(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.add([row(n) for n in range(3)])
    assert archive.delete("x' or '1' = '1") == 0
    assert archive.count(MODEL) == 3


def headers(**changes: str) -> tuple[tuple[str, bytes], ...]:
    given = {
        "dtype": "float16-le",
        "dimension": "4",
        "model-digest": MODEL,
        "content-digest": "c" * 64,
        "event-id": "e",
        "event-source": "shop",
        "event-time": "2031-05-01T10:00:00.000Z",
        "event-attributes": '{"b": "2", "a": "1"}',
        "policy-set-digest": "d" * 64,
        "origin": "images/0/1",
        **changes,
    }
    return tuple((name, text.encode()) for name, text in given.items())


def test_a_record_is_read_completely_or_refused_by_name() -> None:
    value = np.arange(4, dtype="<f2").tobytes()
    found = ArchivedEmbedding.of(Record(Origin("t", 0, 7), None, value, headers()))
    assert (found.key, found.attributes, found.time) == (
        "images/0/1",
        '{"a": "1", "b": "2"}',
        datetime(2031, 5, 1, 10, tzinfo=UTC),
    )
    np.testing.assert_array_equal(found.vector, np.arange(4))
    for changed in ({"dimension": "5"}, {"dtype": "float32"}, {"event-attributes": "{"}, {"event-time": "monday"}):
        with pytest.raises(ArchiveError, match="t/0/7 is not a valid embedding"):
            ArchivedEmbedding.of(Record(Origin("t", 0, 7), None, value, headers(**changed)))
    with pytest.raises(ArchiveError, match="is not a valid embedding: header `dtype`: field required"):
        ArchivedEmbedding.of(Record(Origin("t", 0, 7), None, value))


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """Storage options that reach a bucket of a moto server."""
    [port] = free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    options = {
        "access_key_id": "test",
        "secret_access_key": "test",
        "region": "us-east-1",
        "endpoint": f"http://127.0.0.1:{port}",
        "allow_http": "true",
    }
    client = boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="moderation")
    yield options
    server.stop()


def test_object_storage_can_be_an_archive(bucket: dict[str, str]) -> None:
    archive = Archive("s3://moderation/archive", bucket)
    assert archive.models() == []
    assert archive.add([row(n) for n in range(50)]) == 50
    assert archive.add([row(n) for n in range(40, 60)]) == 10
    assert archive.delete("c3") == 1
    archive.compact()
    found = stored(archive)
    assert len(found) == 59
    np.testing.assert_array_equal(found[row(5).key], row(5).vector)


def test_the_nearest_are_found_and_older_images_are_not(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.add([row(n) for n in range(300)])
    wanted = row(7).vector.astype(np.float32)
    wanted /= np.linalg.norm(wanted)
    vectors = {
        key: each.astype(np.float32) / np.linalg.norm(each.astype(np.float32)) for key, each in stored(archive).items()
    }
    best = sorted(vectors, key=lambda key: -float(vectors[key] @ wanted))[:5]
    found = nearest(archive, MODEL, wanted, 5)
    assert [each.key for each in found] == best
    assert found[0].cosine == pytest.approx(1, abs=1e-3)
    later = nearest(archive, MODEL, wanted, 5, since=DAY + timedelta(hours=100))
    assert all(each.time >= DAY + timedelta(hours=100) for each in later)
    assert row(7).key not in {each.key for each in later}
    assert index(archive, MODEL) is False, "too few for an index to pay"


def test_an_index_finds_the_same_rows_and_no_deleted_ones(tmp_path: Path) -> None:
    """New rows are found without the index. A deletion rebuilds it."""
    archive = Archive(str(tmp_path))
    archive.add([row(n) for n in range(2000)])
    archive.index(MODEL)
    archive.add([row(n) for n in range(2000, 2100)])
    for number in (7, 2050):
        assert nearest(archive, MODEL, unit(row(number).vector), 3)[0].event_id == f"e{number}"
    before = set(tmp_path.rglob("_indices/*/*"))
    assert archive.delete("c7") == 1
    archive.purge()
    assert holds_bytes(tmp_path, row(7).vector.tobytes()) == []
    after = set(tmp_path.rglob("_indices/*/*"))
    assert after
    assert not before & after
    assert nearest(archive, MODEL, unit(row(7).vector), 3)[0].event_id != "e7"
