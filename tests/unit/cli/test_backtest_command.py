"""`watchword policies backtest` over a real archive: period, sample, exit codes, and the page with pictures."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.cli.times import since_of
from pipeline.encode.local import LocalEncoder
from pipeline.errors import OriginalGone, UsageError
from pipeline.evaluation.backtest.batches import part_of
from pipeline.operations.policies import changed_images
from pipeline.policies.load import load_policy_set
from tests.support.publishing import EDITED, two_policies, with_threshold
from tests.support.releasing import control_with, counted_readings, serve

GUNS = "weapons.firearms"
THINGS = ["a revolver", "a leopard", "a watch", "a tree", "a chair", "a flamingo", "a dollar"]


class Original:
    """Originals of the archive: every second one is gone."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, list[str]()

    def fetch(self, key: str, content: str, reference: str = "") -> bytes:
        self.asked.append(key)
        if int(key.rsplit("/", 1)[1]) % 2:
            raise OriginalGone(f"`{key}` is no longer retained")
        return self.data


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, encoder: LocalEncoder) -> Archive:
    """200 images, 20 on each of the last ten days."""
    rng = np.random.default_rng(4)
    texts = encoder.encode_texts(THINGS)
    noisy = texts[rng.integers(0, len(texts), 200)] + rng.normal(0, 0.05, (200, texts.shape[1]))
    vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
    archive = Archive(str(tmp_path_factory.mktemp("backtest") / "archive"))
    archive.add(
        [
            ArchivedEmbedding(
                key=f"images/0/{n}",
                model=encoder.model_digest,
                event_id=f"e{n}",
                source="shop",
                attributes="{}",
                content=f"c{n}",
                time=datetime.now(UTC) - timedelta(days=n % 10, hours=1),
                policy_set="s",
                vector=vectors[n],
            )
            for n in range(200)
        ]
    )
    return archive


@pytest.fixture(autouse=True)
def _use_archive(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_ARCHIVE", archive.address)


@pytest.fixture
def edited(tmp_path: Path, policies: Path) -> Path:
    """The shipped policies without examples; one of them flags every image."""
    folder = tmp_path / "edited"
    folder.mkdir()
    for path in policies.glob("*.yaml"):
        text = path.read_text().split("\nexamples:")[0] + "\n"
        (folder / path.name).write_text(re.sub(r"value: [\d.]+", "value: -99", text) if path.name == EDITED else text)
    return folder


def backtest(*words: object) -> Result:
    return CliRunner().invoke(app, ["policies", "backtest", *map(str, words)])


def test_the_command_covers_the_requested_period(edited: Path, policies: Path) -> None:
    run = backtest(edited, "--before", policies, "--since", "5d", "--format", "json")
    assert run.exit_code == 1, run.stderr
    fields = json.loads(run.stdout)
    assert fields["images"] == 100
    guns = fields["policies"][GUNS]
    assert guns["after"] == 100
    assert guns["newly_flagged"] == 100 - guns["before"]


def test_a_sample_estimates_the_count_of_all_images(edited: Path, policies: Path) -> None:
    words = (edited, "--before", policies, "--since", "5d", "--format", "json")
    whole = json.loads(backtest(*words).stdout)
    both = json.loads(backtest(*words, "--sample", "20%").stdout)
    assert (both["sample"]["images"], both["sample"]["of"]) == (20, 100)
    ends = both["sample"]["policies"][GUNS]["newly_flagged"]
    assert ends["lower"] <= whole["policies"][GUNS]["newly_flagged"] <= ends["upper"]
    assert both["policies"] == whole["policies"]
    assert json.loads(backtest(*words, "--sample", "0.2").stdout) == both, "a share may be a number too"
    alone = json.loads(backtest(*words, "--sample", "20%", "--only-sample").stdout)
    assert alone == {"sample": both["sample"]}
    refused = backtest(edited, "--only-sample")
    assert "`--only-sample` needs `--sample`" in str(refused.exception)


def test_tables_name_the_changes_and_the_nearest_images(edited: Path, policies: Path) -> None:
    run = backtest(edited, "--before", policies, "--since", "5d", "--sample", "20%")
    lines = run.stdout.splitlines()
    assert lines[0] == "estimated from 20 of 100 images, with 95 % intervals:"
    assert "100 images of 6 days" in lines or "100 images of 5 days" in lines
    assert any(line.startswith(f"{GUNS}, newly flagged, nearest to the threshold: e") for line in lines)


def test_the_exit_code_says_whether_anything_would_have_changed(policies: Path) -> None:
    assert backtest(policies, "--before", policies).exit_code == 0
    nothing = backtest(policies, "--before", policies, "--since", "0h")
    assert "has no images of this model since 0h" in str(nothing.exception)


def test_an_edited_folder_is_read_and_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set before the edit comes from the control topic here, so every read is of the edited folder."""
    folder = two_policies(tmp_path / "two")
    serve(monkeypatch, control_with(load_policy_set(folder)))
    with_threshold(folder, 2.5)
    with counted_readings() as counts:
        run = backtest(folder, "--format", "json")
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    assert counts == {str(folder): 1, "resolve": 1}


def test_the_page_shows_the_newly_flagged_and_newly_cleared_images(
    edited: Path, policies: Path, tmp_path: Path, revolver: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a picture of each available original, and the reason for each missing one."""
    original = Original(revolver)

    @contextmanager
    def open_originals(_: object) -> Iterator[Original]:
        yield original

    monkeypatch.setattr(changed_images, "open_originals", open_originals)
    page = tmp_path / "page.html"
    run = backtest(edited, "--before", policies, "--since", "5d", "--html", page, "--format", "json")
    nearest = [each["event"] for each in json.loads(run.stdout)["policies"][GUNS]["nearest_flagged"]]
    assert original.asked == [f"images/0/{name.removeprefix('e')}" for name in nearest]
    text = page.read_text()
    gone = sum(int(name.removeprefix("e")) % 2 for name in nearest)
    assert text.count("data:image/jpeg") == len(nearest) - gone
    assert text.count(f"{GUNS}: newly flagged") == len(nearest)
    assert text.count("is no longer retained") == gone


def test_the_page_shows_nothing_that_a_restricted_policy_flags(
    edited: Path, policies: Path, tmp_path: Path, revolver: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restricted policy flags every image here, so the other policy's images are not shown either."""
    for file in edited.glob("*.yaml"):
        if file.name not in {"background.yaml", EDITED}:
            file.write_text(re.sub(r"value: [\d.]+", "value: -99", file.read_text()))
    file = edited / EDITED
    file.write_text(f"{file.read_text()}restricted: true\n")
    original = Original(revolver)
    monkeypatch.setattr(changed_images, "open_originals", lambda _: pytest.fail("nothing is to be fetched"))
    page = tmp_path / "page.html"
    run = backtest(edited, "--before", policies, "--since", "5d", "--html", page)
    assert run.exit_code == 1, run.exception
    assert original.asked == []
    assert "data:image" not in page.read_text()


def test_a_batch_of_rows_has_their_embeddings(archive: Archive, encoder: LocalEncoder) -> None:
    [batch, *_] = archive.scan(encoder.model_digest, ["event_id", "source", "attributes", "time", "vector"])
    [row, *_] = archive.scan(encoder.model_digest, ["vector"])
    np.testing.assert_array_equal(part_of(batch).vectors[0], np.array(row.column("vector")[0].as_py(), np.float16))


def test_a_start_of_the_period_is_parsed_or_refused() -> None:
    assert datetime.now(UTC) - since_of("2w") == pytest.approx(timedelta(days=14), abs=timedelta(seconds=5))
    assert since_of("2031-05-20") == datetime(2031, 5, 20, tzinfo=UTC)
    with pytest.raises(UsageError, match="such as `7d`"):
        since_of("a week")
