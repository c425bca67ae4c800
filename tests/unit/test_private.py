"""Files with pictures or names of people are readable by their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.private import append_private, write_private
from pipeline.reports.gallery import Tile, write_gallery


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_under_any_umask(tmp_path: Path) -> None:
    write_private(tmp_path / "a", "text")
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_text()) == (0o600, "text")


def test_a_file_that_was_open_to_all_is_private_afterwards(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("something longer")
    (tmp_path / "a").chmod(0o666)
    write_private(tmp_path / "a", "text")
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_text()) == (0o600, "text")


def test_a_pipe_can_be_written_to(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    write_private(Path(f"/dev/fd/{writing}"), "text")
    os.close(writing)
    assert os.read(reading, 10) == b"text"
    os.close(reading)


def test_an_existing_log_keeps_its_permissions(tmp_path: Path) -> None:
    for _ in range(2):
        with append_private(tmp_path / "log") as lines:
            lines.write("line\n")
    assert (mode(tmp_path / "log"), (tmp_path / "log").read_text()) == (0o600, "line\nline\n")
    (tmp_path / "log").chmod(0o660)
    with append_private(tmp_path / "log") as lines:
        lines.write("line\n")
    assert mode(tmp_path / "log") == 0o660


def test_an_unwritable_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none/a"):
        write_private(tmp_path / "none/a", "text")


def test_a_page_with_pictures_is_private(tmp_path: Path) -> None:
    write_gallery(tmp_path / "page.html", [Tile("a", b"jpeg", ())], title="t", about="a")
    assert mode(tmp_path / "page.html") == 0o600
