"""`watchword search` and `watchword sweep` over an archive, originals from a real broker."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.archive.dataset import Archive
from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.events.policies import Mode, ScoreKind
from pipeline.policies.load import load_policy_set
from tests.support.archived import archive_photographs
from tests.support.publishing import two_policies
from tests.support.stream import Stack, Stream

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stream(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, samples: Path, bundle: Bundle, encoder: LocalEncoder
) -> Iterator[Stream]:
    """Sixty photographs on a topic, and a smaller, compressed copy of one."""
    folder = tmp_path_factory.mktemp("search")
    files = [
        path for name in ("revolver", "Leopards", "watch") for path in sorted((samples / "images" / name).iterdir())
    ]
    files = files[::2][:60]
    copy = folder / "copies/copy.jpg"
    copy.parent.mkdir()
    with Image.open(files[0]) as whole:
        small = BytesIO()
        whole.convert("RGB").resize((whole.width // 2, whole.height // 2)).save(small, "JPEG", quality=40)
    copy.write_bytes(small.getvalue())
    with Stream(
        stack,
        folder,
        WATCHWORD_ARCHIVE=str(folder / "archive"),
        WATCHWORD_FILE_ROOTS=json.dumps([str(samples.resolve()), str(folder)]),
    ) as stream:
        archive_photographs(stream, Archive(stream.settings.archive), [*files, copy], bundle, encoder)
        yield stream


@pytest.fixture(autouse=True)
def settings(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stream.environment.items():
        monkeypatch.setenv(name, value)


def watchword(*words: str) -> str:
    run = CliRunner().invoke(app, words)
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    assert run.exit_code == 0, run.output
    return run.stdout


def test_a_sentence_and_an_image_find_similar_images(tmp_path: Path, samples: Path) -> None:
    page = tmp_path / "found.html"
    told = watchword("search", "a photo of a leopard", "--top", "6", "--format", "jsonl", "--html", str(page))
    found = [json.loads(line) for line in told.splitlines()]
    assert len(found) == 6
    assert sum(each["event_id"].startswith("Leopards/") for each in found) >= 5
    assert [each["cosine"] for each in found] == sorted((each["cosine"] for each in found), reverse=True)
    assert page.read_text().count("data:image/jpeg;base64,") == 6
    like = str(sorted((samples / "images/watch").iterdir())[1])
    told = watchword("search", "--like", like, "--top", "5")
    assert told.count("watch/") >= 4


def test_a_sweep_groups_copies_and_writes_a_policy_that_flags_nothing(
    stream: Stream, tmp_path: Path, samples: Path
) -> None:
    worst = str(sorted((samples / "images/revolver").iterdir())[0])
    folder = two_policies(tmp_path / "policies")
    page = tmp_path / "like.html"
    words = ["sweep", worst, "--since", "1d", "--min-similarity", "0.6", "--format", "jsonl"]
    words += ["--policies", str(folder), "--html", str(page)]
    told = watchword(*words, "--policy", "incident.no_12", "--description", "a revolver on a table")
    groups = [json.loads(line) for line in told.splitlines()]
    [copies] = [each for each in groups if each["copies"] > 1]
    assert {each["event"] for each in copies["images"]} == {f"revolver/{Path(worst).name}", "copies/copy.jpg"}
    assert copies["cosine"] == pytest.approx(1, abs=1e-3)
    assert groups[0] == copies
    assert page.read_text().count("data:image/jpeg;base64,") == len(groups), "a picture for each group"
    policy = next(each for each in load_policy_set(folder).policies if each.id == "incident.no_12")
    assert (policy.mode, policy.score, policy.provisional) == (Mode.SHADOW, ScoreKind.LINEAR, True)
    told = watchword("policies", "check", str(folder))
    assert "incident.no_12" in told
    before = two_policies(tmp_path / "before")
    run = CliRunner().invoke(
        app, ["policies", "backtest", str(folder), "--before", str(before), "--since", "1d", "--format", "json"]
    )
    flagged = json.loads(run.stdout)["policies"]["incident.no_12"]["newly_flagged"]
    assert flagged == sum(each["copies"] for each in groups), "of one image, what the sweep found"
    again = CliRunner().invoke(app, [*words, "--policy", "incident.no_12"])
    assert isinstance(again.exception, UsageError)
    assert "already has the policy" in str(again.exception)


def test_a_sweep_that_finds_the_given_image_alone_proposes_a_lower_minimum(samples: Path) -> None:
    """The older name of the option works too."""
    worst = str(sorted((samples / "images/watch").iterdir())[0])
    run = CliRunner().invoke(app, ["sweep", worst, "--since", "1d", "--least", "0.999"])
    assert run.exit_code == 0
    assert "nothing else over 0.999; the nearest others are at 0." in run.stderr
    assert "try `--min-similarity 0." in run.stderr


def test_a_sweep_of_an_image_unlike_any_other_names_the_nearest(samples: Path) -> None:
    worst = str(sorted((samples / "images/grand_piano").iterdir())[0])
    run = CliRunner().invoke(app, ["sweep", worst, "--since", "1d", "--min-similarity", "0.99"])
    assert run.exit_code == 0
    assert "nothing over 0.99; the nearest others are at 0." in run.stderr


def test_a_search_takes_one_query() -> None:
    for words in (["search"], ["search", "x", "--like", "y.jpg"], ["search", "x", "--images", "z", "--since", "1d"]):
        run = CliRunner().invoke(app, words)
        assert isinstance(run.exception, UsageError)
