"""Files as a stream: a name that is not UTF-8, or an unreadable file, does not stop it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.events.records import Record
from pipeline.ingest import folder
from pipeline.ingest.event import parse_event
from pipeline.ingest.folder import FileEvent, file_id, has_image_signature, list_files, read_events, read_files

LATIN = os.fsdecode(b"caf\xe9.jpg")


def unreadable(record: Record) -> bool:
    return record.value is None and dict(record.headers)[folder.UNREADABLE].startswith(b"it cannot be read")


def test_a_name_that_is_not_utf8_has_a_printable_id(tmp_path: Path) -> None:
    (tmp_path / LATIN).write_bytes(b"x")
    [file] = list_files([tmp_path])
    [record] = read_files([file], max_bytes=9)
    assert record.value == b"x"
    assert record.origin.topic == file_id(file) == f"{tmp_path}/caf\\xe9.jpg"
    assert record.origin.topic.encode()
    [event] = read_events([FileEvent(LATIN, file, "\udcff", {"shop": "\udcfe"})], max_bytes=9)
    parsed = parse_event(event)
    assert (parsed.id, parsed.source, parsed.attributes) == ("caf\\xe9.jpg", "\\xff", {"shop": "\\xfe"})


def test_a_file_that_vanishes_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    files = list_files([tmp_path])
    (tmp_path / "a").unlink()
    (tmp_path / "c").unlink()
    (tmp_path / "c").mkdir()
    records = list(read_files(files, max_bytes=9))
    assert [record.value for record in records] == [None, b"x", None, b"x"]
    assert unreadable(records[0])
    assert unreadable(records[2])


def test_a_folder_that_cannot_be_listed_is_reported_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files = list_files([tmp_path])
    assert [file.name for file in files] == ["closed", "file"]
    closed, _ = read_files(files, max_bytes=9)
    assert unreadable(closed)


def test_broken_links_hidden_files_and_special_files_are_left_out(tmp_path: Path) -> None:
    for name in ("a", ".hidden", "sub/b", ".git/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "nowhere").symlink_to("none")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    assert [str(file.relative_to(tmp_path)) for file in list_files([tmp_path])] == ["a", "link", "sub/b"]


@pytest.mark.parametrize("name", ["none", "file/inside"])
def test_a_missing_path_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="not found"):
        list_files([tmp_path / name])


def test_a_path_that_is_too_long_is_reported_on_reading(tmp_path: Path) -> None:
    [file] = list_files([tmp_path / ("x" * 300)])
    assert all(unreadable(record) for record in read_files([file], max_bytes=9))


@pytest.mark.parametrize(
    ("start", "image"),
    [
        (b"\xff\xd8\xff\xe0", True), (b"\x89PNG\r\n\x1a\n", True), (b"GIF89a", True), (b"BM6", True),
        (b"RIFF\0\0\0\0WEBPVP8L", True), (b"RIFF\0\0\0\0WAVEfmt ", False), (b"II*\0", True), (b"MM\0*", True),
        (b"file,split\n", False), (b"<svg", False), (b"PK\3\4", False), (b"", False),
    ],
)  # fmt: skip
def test_an_image_is_recognised_by_its_first_bytes(tmp_path: Path, start: bytes, *, image: bool) -> None:
    (tmp_path / "file").write_bytes(start)
    assert has_image_signature(tmp_path / "file") is image


def test_a_scan_judges_the_rest_and_exits_with_2(tmp_path: Path, samples: Path) -> None:
    """
    File names have markup, escape sequences and bytes that are not UTF-8; the file that is not an image is reported.
    """
    good = sorted((samples / "images/grand_piano").iterdir())[0].read_bytes()
    (tmp_path / "[").mkdir()
    for name in ("[/].jpg", "\x1b[2Jgone.jpg", ":smile:.jpg", LATIN):
        (tmp_path / name).write_bytes(good)
    (tmp_path / "[bold].txt").write_bytes(b"no image")
    page = tmp_path / "page.html"
    text_file = str(tmp_path / "[bold].txt")
    command = [sys.executable, "-m", "pipeline", "scan", str(tmp_path), text_file, "--html", str(page)]
    run = subprocess.run(command, capture_output=True, cwd=samples.parent, check=False)
    assert run.returncode == 2, run.stderr
    assert b"\x1b" not in run.stdout + run.stderr
    assert b"[bold].txt  not judged: unsupported_format" in run.stdout
    assert run.stdout.splitlines()[-1] == b"5 files, 0 flagged, 1 could not be judged"
    assert b"skipped" not in run.stderr
    text = page.read_text()
    assert "caf\\xe9.<wbr>jpg" in text
    assert "\\x1b[2Jgone" in text
