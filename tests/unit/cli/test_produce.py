"""`watchword produce` sends images: of a folder what begins as one, and what is named whatever it is."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.broker.producer import Message
from pipeline.cli.stream import produce
from pipeline.errors import UsageError

GIVEN: dict[str, Any] = {
    "labels": None, "split": None, "source": "test", "repeat": 1, "rate": None, "references": False
}  # fmt: skip


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Stands for the broker."""
    found: list[Message] = []

    class Publisher:
        def send(self, message: Message) -> None:
            found.append(message)

        def flush(self) -> None:
            pass

    @contextlib.contextmanager
    def publisher(*_: object, **__: object) -> Iterator[Publisher]:
        yield Publisher()

    monkeypatch.setattr(produce, "Publisher", publisher)
    monkeypatch.setattr(produce, "ensure_topics", lambda *_: [])
    return found


@pytest.fixture
def folder(tmp_path: Path, revolver: bytes) -> Path:
    for name in ("a.jpg", os.fsdecode(b"b\xe9.jpg")):
        (tmp_path / name).write_bytes(revolver)
    for name in ("labels.csv", "NOTICE.md", "[b]\x1b.yaml", "z.html"):
        (tmp_path / name).write_bytes(b"no image")
    return tmp_path


def ids(sent: list[Message], folder: Path) -> list[str]:
    return [(message.key or b"").decode().removeprefix(f"{folder}/") for message in sent]


def test_of_a_folder_what_is_no_image_is_skipped_and_told(
    sent: list[Message], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert produce.run_produce([folder], **GIVEN) == 0
    assert ids(sent, folder) == ["a.jpg", "b\\xe9.jpg"]
    told = capsys.readouterr().err
    assert "skipped 4 files that begin as no image does" in told
    assert "[b]\\x1b.yaml" in told
    assert "and 1 more" in told
    assert "sent 2 records to" in told


def test_a_file_that_is_named_is_sent_as_it_is(sent: list[Message], folder: Path) -> None:
    assert produce.run_produce([folder / "NOTICE.md"], **{**GIVEN, "repeat": 2}) == 0
    assert ids(sent, folder) == ["NOTICE.md#0", "NOTICE.md#1"]
    assert {message.value for message in sent} == {b"no image"}


def test_a_folder_without_images_is_a_usage_error(sent: list[Message], folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/notes.txt").write_text("x")
    with pytest.raises(UsageError, match="no images to send"):
        produce.run_produce([folder / "sub"], **GIVEN)


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_sent(
    sent: list[Message], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = produce._content

    def refuse(file: Path, *, references: bool) -> tuple[bytes, str]:
        if file.name == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return content(file, references=references)

    monkeypatch.setattr(produce, "_content", refuse)
    assert produce.run_produce([folder], **GIVEN) == 2
    assert ids(sent, folder) == ["b\\xe9.jpg"]
    assert "a.jpg`: it cannot be read: Permission denied" in capsys.readouterr().err
