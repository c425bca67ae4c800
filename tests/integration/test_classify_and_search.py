"""`watchword classify` and `watchword search` on real photographs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app


@pytest.fixture
def shop(tmp_path: Path, samples: Path) -> Path:
    """A folder with five revolvers and five leopards."""
    for category in ("revolver", "Leopards"):
        for photograph in sorted((samples / "images" / category).iterdir())[:5]:
            (tmp_path / f"{category}-{photograph.name}").symlink_to(photograph)
    return tmp_path


def test_the_label_that_fits_comes_first(shop: Path) -> None:
    answer = CliRunner().invoke(
        app, ["classify", str(shop), "--labels", "revolver, leopard, stop sign", "--format", "jsonl"]
    )
    assert answer.exit_code == 0, answer.output
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(lines) == 10
    right = sum(next(iter(line["labels"])) in Path(line["path"]).name.lower() for line in lines)
    assert right >= 9
    assert all(sum(line["labels"].values()) == pytest.approx(1) for line in lines)


def test_search_finds_what_the_sentence_says_and_writes_a_page(shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    (shop / "notes.txt").write_text("no image")
    words = ["search", "a photo of a leopard", "--images", str(shop), "--top", "5", "--html", str(page)]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 2, "a file could not be read"
    assert "notes.txt" in answer.stderr
    assert answer.stdout.count("Leopards-") >= 4
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 5
    assert "Nearest to “a photo of a leopard”" in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["classify", "samples", "--labels", "one"], "at least two"),
        (["classify", "no-such-folder", "--labels", "a,b"], "not found"),
        (["search", "x", "--images", "docs", "--format", "xml"], "--format xml"),
    ],
)
def test_impossible_requests_are_reported(words: list[str], problem: str) -> None:
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code != 0
    assert problem in str(answer.exception)
