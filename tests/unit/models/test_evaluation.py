"""Figures of a bundle, each checked on a case with a known answer."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.stats.intervals import bootstrap_means, difference, wilson
from pipeline.evaluation.stats.reliability import expected_calibration_error, reliability
from pipeline.ingest.alter import ALTERATIONS, alter
from pipeline.models.captions import BUNDLED_TABLE, Captions
from pipeline.models.evaluation.bias import IdentityTerms, term_shifts
from pipeline.models.evaluation.space import mean_cosine
from pipeline.models.evaluation.subject import Subject
from pipeline.models.evaluation.zero_shot import measure, zero_shot
from pipeline.policies.load import load_policy_set


def test_wilsons_interval_equals_the_published_one() -> None:
    """The values are of Brown, Cai and DasGupta 2001; zero hits come close to the rule of three."""
    found = wilson(8, 10)
    assert (found.value, round(found.lower, 4), round(found.upper, 4)) == (0.8, 0.4902, 0.9433)
    none = wilson(0, 59)
    assert none.lower == 0
    assert 0.05 < none.upper < 0.065
    assert (wilson(0, 0).lower, wilson(0, 0).upper) == (0, 1)


def test_the_bootstrap_covers_the_mean_at_its_level() -> None:
    rng = np.random.default_rng(3)
    covered = [not bootstrap_means(rng.normal(2, 1, (60, 1)), seed)[0].excludes(2) for seed in range(200)]
    assert 0.89 < np.mean(covered) < 0.99


def test_a_paired_shift_has_a_narrower_interval_than_its_parts() -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(0, 5, 400)
    shifted = base + 0.3 + rng.normal(0, 0.1, 400)
    [found] = bootstrap_means((shifted - base)[:, None])
    assert found.value == pytest.approx(0.3, abs=0.02)
    assert found.excludes(0)
    assert not bootstrap_means(shifted[:, None])[0].excludes(0)


def test_calibration_error_is_zero_for_right_and_large_for_wrong_confidence() -> None:
    right = np.array([True] * 75 + [False] * 25)
    assert expected_calibration_error(reliability(np.full(100, 0.75), right)) == pytest.approx(0, abs=1e-9)
    [vain] = reliability(np.full(100, 0.99), right)
    assert (vain.count, vain.observed.value) == (100, 0.75)
    assert expected_calibration_error([vain]) == pytest.approx(0.24, abs=1e-9)


def test_mean_cosine_leaves_out_an_image_with_itself() -> None:
    assert mean_cosine(np.eye(4, dtype=np.float32)) == pytest.approx(0, abs=1e-6)
    assert mean_cosine(np.tile(np.array([[1, 0]], dtype=np.float32), (3, 1))) == pytest.approx(1)


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_an_alteration_changes_the_pixels_not_the_shape(kind: str) -> None:
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)
    images = np.stack([np.dstack([np.tile(ramp, (96, 1)), np.tile(ramp[:, None], (1, 96)), np.full((96, 96), 90)])] * 2)
    images[:, 30:60, 30:60] = 200
    altered = alter(images.astype(np.uint8), kind)
    assert altered.shape == images.shape
    assert altered.dtype == np.uint8
    assert np.abs(altered.astype(int) - images).mean() > 0.5
    np.testing.assert_array_equal(altered[0], altered[1])


@pytest.fixture(scope="module")
def few(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every seventh photograph of `val`, with a column for dark and bright images."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "images").symlink_to(samples / "images")
    with (samples / "labels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "val"][::7]
    with (folder / "labels.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, [*rows[0], "half"])
        table.writeheader()
        table.writerows({**row, "half": "first" if i % 2 else "second"} for i, row in enumerate(rows))
    return folder


def test_altered_images_are_measured_against_the_same_texts(few: Path, bundle: Bundle) -> None:
    subject = Subject.load(few, bundle, Captions.load(BUNDLED_TABLE), "val")
    plain = zero_shot(subject)
    assert plain == measure(few, bundle, subject.captions, "val")
    assert plain.top1_interval.lower < plain.top1 < plain.top1_interval.upper
    assert plain.top1 <= plain.top5
    sketched = zero_shot(subject, subject.embed(alter(subject.images.pixels, "sketch")))
    assert sketched.top1 < plain.top1


def test_the_neutral_term_shifts_nothing(few: Path, bundle: Bundle, policies: Path) -> None:
    subject = Subject.load(few, bundle, Captions.load(BUNDLED_TABLE), "val")
    terms = IdentityTerms("a person", (("none", "a person"), ("thing", "a leopard")))
    same, other = np.array_split(np.array(term_shifts(subject, load_policy_set(policies), terms)), 2)
    assert all(shift.score_shift.value == 0 and not shift.matters for shift in same)
    assert any(abs(shift.score_shift.value) > 0.1 for shift in other)


def test_two_bundles_side_by_side_in_markdown_and_json(
    few: Path, bundle: Bundle, policies: Path, tmp_path: Path
) -> None:
    """The thresholds were fitted for one bundle; of the other only scores are compared, because it has no flags."""
    other = tmp_path / "other"
    shutil.copytree(bundle.folder, other)
    bundle.manifest.model_copy(update={"name": "other"}).write(other)
    words = ["models", "evaluate", str(bundle.folder), str(other), "--data", str(few), "--slice", "half"]
    run = CliRunner().invoke(app, [*words, "--policies", str(policies), "--card", str(tmp_path / "card.md")])
    assert run.exit_code == 0, run.output
    card = (tmp_path / "card.md").read_text()
    assert card.strip() in run.stdout
    for line in (
        "| zero-shot top-1 |",
        "| sketch |",
        "| half first (",
        "| anisotropy |",
        "| weapons.firearms, half first",
        "For other the thresholds of counterfeit.branded_goods",
    ):
        assert line in card
    first, second = json.loads((tmp_path / "card.json").read_text())
    fitted = ("model", "digest", "stale", "slice_rates", "term_shifts")
    assert {name: value for name, value in first.items() if name not in fitted} == {
        name: value for name, value in second.items() if name not in fitted
    }
    count = len(load_policy_set(policies).policies)
    assert first["digest"] == bundle.digest != second["digest"]
    assert len(first["paraphrases"]) > 50
    assert {each["value"] for each in first["slices"]} == {"first", "second"}
    assert len(first["term_shifts"]) == 18 * count
    assert all(row["gap"] for row in first["slice_rates"])
    assert (len(first["stale"]), len(second["stale"])) == (0, count)
    assert not second["slice_rates"]
    assert all(shift["flag_rate_shift"] is None for shift in second["term_shifts"])
    assert [each["score_shift"] for each in second["term_shifts"]] == [
        each["score_shift"] for each in first["term_shifts"]
    ]


def test_newcombes_interval_equals_the_published_one() -> None:
    """The values are of Newcombe 1998, table II, example a, method 10."""
    found = difference(56, 70, 48, 80)
    assert (round(found.value, 4), round(found.lower, 4), round(found.upper, 4)) == (0.2, 0.0524, 0.3339)


def test_a_bundle_is_measured_on_other_categories(few: Path, bundle: Bundle, policies: Path, tmp_path: Path) -> None:
    """Other captions have no paraphrases unless they are given; a category without captions is reported."""
    with (few / "labels.csv").open() as lines:
        kept = [row for row in csv.DictReader(lines) if row["category"] in ("watch", "airplanes")]
    rows = "".join(f"{few / row['file']},{row['category']},{row['split']}\n" for row in kept)
    (tmp_path / "labels.csv").write_text(f"file,category,split\n{rows}")
    (tmp_path / "two.yaml").write_text(
        "categories: {watch: [watch], airplanes: [plane]}\ngroups: {}\ntemplates: ['{}']\n"
    )
    (tmp_path / "one.yaml").write_text("categories: {watch: [watch]}\ngroups: {}\ntemplates: ['{}']\n")
    words = ["models", "evaluate", str(bundle.folder), "--data", str(tmp_path), "--policies", str(policies)]
    found = CliRunner().invoke(app, [*words, "--captions", str(tmp_path / "two.yaml")])
    assert found.exit_code == 0, found.output
    assert "| on paraphrases | nan (0 texts) |" in found.stdout
    missing = CliRunner().invoke(app, [*words, "--captions", str(tmp_path / "one.yaml")])
    assert "the caption table has no airplanes" in str(missing.exception)
    nowhere = CliRunner().invoke(app, ["models", "evaluate", str(bundle.folder), "--data", str(tmp_path / "no")])
    assert isinstance(nowhere.exception, UsageError)
    assert "not found" in str(nowhere.exception)


def test_an_unknown_column_is_reported_with_the_known_ones(few: Path, bundle: Bundle) -> None:
    run = CliRunner().invoke(app, ["models", "evaluate", str(bundle.folder), "--data", str(few), "--slice", "region"])
    assert isinstance(run.exception, UsageError)
    assert "no column region; it has file, category, split, half" in str(run.exception)
