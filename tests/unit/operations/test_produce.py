"""Images are sent as events: every named file, and files of a folder that start with an image's first bytes."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.broker.producer import Message
from pipeline.cli.main import app
from pipeline.errors import UsageError
from pipeline.operations.stream import produce
from pipeline.operations.stream.produce import Produced, ProduceRequest, produce_images
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings
from tests.support.releasing import Notices


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Replaces the broker."""
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


def send(path: Path, notices: Notices | None = None, **request: Any) -> Produced:
    workbench = Workbench(Settings(), user="ana", progress=notices or Notices())
    return produce_images(workbench, ProduceRequest((path,), **request))


def ids(sent: list[Message], folder: Path) -> list[str]:
    return [(message.key or b"").decode().removeprefix(f"{folder}/") for message in sent]


def refuse_to_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    content = produce._content

    def refuse(file: Path, *, references: bool) -> tuple[bytes, str]:
        if file.name == name:
            raise PermissionError(13, "Permission denied")
        return content(file, references=references)

    monkeypatch.setattr(produce, "_content", refuse)


def test_other_files_of_a_folder_are_skipped_with_a_notice(sent: list[Message], folder: Path) -> None:
    notices = Notices()
    produced = send(folder, notices)
    assert ids(sent, folder) == ["a.jpg", "b\\xe9.jpg"]
    assert (produced.sent, produced.faults) == (2, {})
    [notice] = notices.messages
    assert notice.startswith("skipped 4 files that do not begin like an image: ")
    assert "[b]\x1b.yaml" in notice
    assert notice.endswith("and 1 more")


def test_one_skipped_file_is_reported_in_the_singular(sent: list[Message], folder: Path) -> None:
    for name in ("labels.csv", "NOTICE.md", "[b]\x1b.yaml"):
        (folder / name).unlink()
    notices = Notices()
    send(folder, notices)
    assert notices.messages == [f"skipped 1 file that does not begin like an image: `{folder}/z.html`"]


def test_a_named_file_is_sent_unchanged(sent: list[Message], folder: Path) -> None:
    send(folder / "NOTICE.md", repeat=2)
    assert ids(sent, folder) == ["NOTICE.md#0", "NOTICE.md#1"]
    assert {message.value for message in sent} == {b"no image"}


def test_a_folder_without_images_is_a_usage_error(sent: list[Message], folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/notes.txt").write_text("x")
    with pytest.raises(UsageError, match="no images to send"):
        send(folder / "sub")


def test_a_file_that_cannot_be_read_is_reported_and_the_rest_is_sent(
    sent: list[Message], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_read(monkeypatch, "a.jpg")
    produced = send(folder)
    assert produced.faults == {folder / "a.jpg": "it cannot be read: Permission denied"}
    assert ids(sent, folder) == ["b\\xe9.jpg"]


def test_a_rate_spreads_the_images_over_time(sent: list[Message], folder: Path) -> None:
    waited: list[float] = []
    request = ProduceRequest((folder / "a.jpg",), repeat=4, rate=0.01)
    produce_images(Workbench(Settings(), user="ana"), request, waited.append)
    assert len(sent) == 4
    assert [round(seconds) for seconds in waited] == [0, 100, 200, 300]


def test_the_command_reports_skipped_files_and_the_number_sent(sent: list[Message], folder: Path) -> None:
    run = CliRunner().invoke(app, ["produce", str(folder)])
    assert run.exit_code == 0
    assert "skipped 4 files" in run.stderr
    assert "[b]\\x1b.yaml" in run.stderr
    assert "sent 2 records to images" in run.stderr


def test_the_command_is_silent_when_asked_but_reports_files_it_could_not_read(
    sent: list[Message], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = CliRunner().invoke(app, ["--quiet", "produce", str(folder)])
    assert (quiet.exit_code, quiet.output) == (0, "")
    refuse_to_read(monkeypatch, "a.jpg")
    run = CliRunner().invoke(app, ["-q", "produce", str(folder)])
    assert run.exit_code == 2
    assert run.stderr == f"`{folder}/a.jpg`: it cannot be read: Permission denied\n"
