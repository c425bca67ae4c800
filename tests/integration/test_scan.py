"""`watchword scan` for a person and for a script, and other commands that need no server."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import DeadLetterReason

COMMAND = str(Path(sys.executable).with_name("watchword"))
REPOSITORY = Path(__file__).parents[2]


def watchword(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, cwd=REPOSITORY, check=False)


def lines(run: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_flagged_image_exits_with_1_and_says_why(samples: Path) -> None:
    [photograph, *_] = sorted((samples / "images/revolver").iterdir())
    run = watchword("scan", photograph, "--format", "jsonl")
    [found] = lines(run)
    assert run.returncode == 1
    assert found["path"] == str(photograph)
    assert found["flags"] == ["weapons.firearms"]
    assert found["error"] is None
    assert isinstance(found["scores"], dict)
    assert len(found["scores"]) == 7


def test_nothing_flagged_exits_with_0(samples: Path) -> None:
    run = watchword("scan", sorted((samples / "images/grand_piano").iterdir())[0])
    assert (run.returncode, run.stdout.strip()) == (0, "1 file, 0 flagged")


def test_a_file_that_cannot_be_judged_exits_with_2_and_keeps_its_place(tmp_path: Path, samples: Path) -> None:
    """Every named file has its line, in the given order."""
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.txt").write_text("words")
    (tmp_path / "c.jpg").write_bytes(sorted((samples / "images/grand_piano").iterdir())[0].read_bytes())
    run = watchword("scan", *sorted(tmp_path.iterdir()), "--format", "jsonl")
    assert run.returncode == 2
    assert [(Path(str(line["path"])).name, line["error"]) for line in lines(run)] == [
        ("a.jpg", DeadLetterReason.EMPTY),
        ("b.txt", DeadLetterReason.UNSUPPORTED_FORMAT),
        ("c.jpg", None),
    ]


def test_a_folders_files_that_are_not_images_are_skipped_with_a_notice(tmp_path: Path, samples: Path) -> None:
    """They do not change the exit code."""
    photograph = sorted((samples / "images/grand_piano").iterdir())[0].read_bytes()
    for name, content in (("labels.csv", b"a,b"), ("notes.txt", b"words"), ("photo.jpg", photograph)):
        (tmp_path / name).write_bytes(content)
    run = watchword("scan", tmp_path)
    assert (run.returncode, run.stdout) == (0, "1 file, 0 flagged\n")
    assert "skipped 2 files that are not images" in run.stderr


def test_a_folders_broken_image_is_reported_and_exits_with_2(tmp_path: Path) -> None:
    """A file named like an image counts as one, even if its format cannot be decoded."""
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic")
    run = watchword("scan", tmp_path, "--format", "jsonl")
    assert run.returncode == 2
    assert [line["error"] for line in lines(run)] == [DeadLetterReason.EMPTY, DeadLetterReason.UNSUPPORTED_FORMAT]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scan", "no/such/file.jpg"], "`no/such/file.jpg`: not found"),
        (["scan", "samples/images/ant", "--policies", "nowhere"], "`nowhere`: not a folder"),
        (["scan", "samples/images/ant", "--format", "xml"], "choose `table` or `jsonl`"),
        (["scan", "samples/images/ant", "--model", "docs"], "a model bundle is a folder with a manifest.json"),
        (["stack", "logs", "nothing"], "choose `kafka` or `triton`"),
    ],
)
def test_a_wrong_argument_exits_with_2_and_says_what_to_do(words: list[str], said: str) -> None:
    run = watchword(*words)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_BATCH_SIZE", "many")
    run = watchword("settings")
    assert run.returncode == 2
    assert "WATCHWORD_BATCH_SIZE" in run.stderr


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_SASL_PASSWORD", "hunter2")
    run = watchword("settings")
    assert run.returncode == 0
    assert "hunter2" not in run.stdout


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return every command and group, with its words on the command line."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


@pytest.mark.parametrize(("words", "command"), list(commands(get_command(app))), ids=lambda each: str(each)[:40])
def test_every_command_has_help_and_an_example(words: tuple[str, ...], command: Any) -> None:
    run = CliRunner().invoke(app, [*words, "--help"])
    assert run.exit_code == 0
    assert f"Usage: {' '.join(('watchword', *words))}" in run.stdout
    if not hasattr(command, "commands"):
        assert "Example" in run.stdout


def test_a_taken_port_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("WATCHWORD_STACK_STATE", str(tmp_path))
        monkeypatch.setenv("WATCHWORD_STACK_KAFKA_PORT", str(taken.getsockname()[1]))
        run = watchword("stack", "up")
    assert run.returncode == 2
    assert "WATCHWORD_STACK_KAFKA_PORT" in run.stderr


def test_without_java_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_STACK_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("WATCHWORD_STACK_KAFKA_PORT", "29092")
    monkeypatch.setenv("WATCHWORD_STACK_CONTROLLER_PORT", "29093")
    run = watchword("stack", "up")
    assert run.returncode == 2
    assert "apt-get install openjdk-17-jre-headless" in run.stderr


def test_building_engines_needs_no_torch() -> None:
    """Engines are built inside Triton's image, which has no torch."""
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None);"
        "import pipeline.models.engines.build, pipeline.cli.models.build, pipeline.cli.models.parity; print('built')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "built"


def test_the_worker_needs_no_torch() -> None:
    """`watchword run` and `watchword scan` import no library that only building models needs."""
    code = (
        "import sys, pipeline.stream.build, pipeline.operations.images.scan, pipeline.cli.images.scan_output;"
        "import pipeline.cli.main;"
        "print([name for name in ('torch', 'transformers', 'onnx') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
