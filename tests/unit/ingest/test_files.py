"""`file:` references: regular files under a root, and nothing else."""

import os
import socket
from pathlib import Path

import pytest

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.fetch import Fetcher, FetchRules

FAILED = DeadLetterReason.FETCH_FAILED


def fetch(uri: str, file_roots: tuple[Path, ...]) -> bytes:
    return Fetcher(FetchRules(file_roots=file_roots, max_bytes=1000)).fetch(Reference(uri))


def refused(uri: str, file_roots: tuple[Path, ...]) -> DeadLetterReason:
    with pytest.raises(RecordFault) as caught:
        fetch(uri, file_roots)
    assert caught.value.detail.isprintable()
    return caught.value.reason


def test_a_file_under_a_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"image")
    assert fetch((tmp_path / "a b.jpg").as_uri(), file_roots=(tmp_path,)) == b"image"


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    outside.write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    assert refused((root / "link").as_uri(), file_roots=(root,)) is DeadLetterReason.REFERENCE_FORBIDDEN
    dots = f"file://{root}/../secret"
    assert refused(dots, file_roots=(root,)) is DeadLetterReason.REFERENCE_FORBIDDEN


def test_a_missing_or_too_large_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 2000)
    assert refused((tmp_path / "gone").as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.FETCH_FAILED
    assert refused((tmp_path / "large").as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.TOO_LARGE
    assert refused(tmp_path.as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.FETCH_FAILED


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 2000 + "a", "file/below", "circle", "locked/file"])
def test_paths_that_the_system_refuses_fail(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"image")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert refused(f"file://{tmp_path}/{name}", file_roots=(tmp_path,)) is FAILED


def test_pipes_and_sockets_fail_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert refused((tmp_path / "pipe").as_uri(), file_roots=(tmp_path,)) is FAILED
        assert refused((tmp_path / "socket").as_uri(), file_roots=(tmp_path,)) is FAILED
    assert refused("file:///dev/zero", file_roots=(Path("/"),)) is FAILED


def test_files_of_the_kernel_are_refused_under_any_root() -> None:
    for uri in ("file:///proc/self/environ", "file:///sys/kernel/notes", "file:///proc/self/root/proc/kmsg"):
        assert refused(uri, file_roots=(Path("/"), Path("/proc"))) is DeadLetterReason.REFERENCE_FORBIDDEN


def test_a_file_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.jpg")
    path.write_bytes(b"image")
    assert fetch(path.as_uri(), file_roots=(tmp_path,)) == b"image"


def test_a_link_within_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"image")
    (tmp_path / "link").symlink_to("a")
    assert fetch((tmp_path / "link").as_uri(), file_roots=(tmp_path,)) == b"image"


def test_a_link_created_after_a_path_was_resolved_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "folder" / "secret").write_bytes(b"image")
    (tmp_path / "secret").write_bytes(b"secret")
    resolve = Path.resolve

    def swap(path: Path) -> Path:
        found = resolve(path)
        if path.name == "secret" and not (tmp_path / "root" / "folder").is_symlink():
            (tmp_path / "root" / "folder").rename(tmp_path / "root" / "gone")
            (tmp_path / "root" / "folder").symlink_to(tmp_path)
        return found

    monkeypatch.setattr(Path, "resolve", swap)
    assert refused((tmp_path / "root" / "folder" / "secret").as_uri(), (tmp_path / "root",)) is FAILED
