"""Thresholds fitted to a policy's target: parsed, fitted, refused, and marked as stale."""

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.emit.formats import flag_fields
from pipeline.encode.local import LocalEncoder
from pipeline.errors import PolicyError, UsageError
from pipeline.evaluation.calibration.queue import queue_threshold
from pipeline.evaluation.stats.certification import Labels
from pipeline.evaluation.stats.near_duplicates import difference_hash, near_duplicates
from pipeline.evaluation.stats.probability_curves import fit_probability
from pipeline.events.calibration import Isotonic, Platt
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import Policy
from pipeline.ingest.folder import read_files
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.policies.model_compatibility import for_model
from pipeline.releases.codec import decode_set, encode_set
from pipeline.settings import Settings
from tests.unit.policies.test_policy_files import GOOD, problem

POLICY = "wildlife.big_cats"
CATS = ("Leopards", "cougar_body", "cougar_face", "wild_cat")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policies", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, policies: Path) -> Path:
    """One shipped policy with a target precision that `val` can certify."""
    made = tmp_path / "policies"
    made.mkdir()
    rewrite(made, policies / "wildlife-big_cats.yaml", "{ precision: 0.8, confidence: 0.8 }")
    return made


def rewrite(folder: Path, source: Path, threshold: str) -> None:
    text = re.sub(r"(?ms)^examples:.*?(?=^\w|\Z)", "", source.read_text())
    (folder / "cats.yaml").write_text(re.sub(r"threshold:.*", f"threshold: {threshold}", text))


@pytest.fixture
def labels(tmp_path: Path, samples: Path) -> Path:
    """Labels of big cats and a quarter of the other `val` photographs, each with sampling probability 1."""
    return write_labels(tmp_path / "labels.csv", samples, "1")


def write_labels(path: Path, samples: Path, probability: str, copies: int = 1) -> Path:
    with (samples / "labels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "val"]
    cats, others = ([row for row in rows if (row["category"] in CATS) is wanted] for wanted in (True, False))
    rows = sorted([*cats, *others[::4]], key=lambda row: hashlib.sha256(row["file"].encode()).digest())
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["image", "id", "category", "probability"])
        for copy in range(copies):
            for row in rows:
                writer.writerow([samples / row["file"], f"{row['file']}-{copy}", row["category"], probability])
    shutil.copy(samples / "policy_labels.yaml", path.parent)
    (path.parent / "policy_labels.yaml").write_text(f"{POLICY}: [{', '.join(CATS)}]\n")
    return path


def the_policy(folder: Path) -> Policy:
    [policy] = load_policy_set(folder).policies
    return policy


def stored(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "calibrations" / f"{POLICY}.json").read_text())
    return found


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ("{ precision: 1.2 }", "`threshold.precision`: input should be less than 1"),
        ("{ precision: 0.9, queue: 5/day }", "`threshold`: a threshold has one of `value`, `precision` and `queue`"),
        ("{ confidence: 0.9 }", "`threshold`: a threshold has one of `value`, `precision` and `queue`"),
        ("{ precision: 0.9, provisional: true }", "`provisional` and `model` need a `value`"),
        ("{ queue: many }", "`threshold.queue`: string should match pattern"),
        ("{ precison: 0.9 }", "unknown key `precison`, did you mean `precision`?"),
        ("{ precision: 0.9 }", "not fitted to precision 0.9 with 95% confidence yet: `watchword policies calibrate"),
        ("{ precision: 0.9 }", "or `--decisions` made with `watchword policies label weapons.firearms`"),
        ("{ queue: 200/day }", "not fitted to a queue of 200/day yet: `watchword policies calibrate"),
    ],
)
def test_targets_that_a_threshold_may_have(tmp_path: Path, threshold: str, message: str) -> None:
    found = problem(tmp_path, GOOD.replace("threshold: 2.5", f"threshold: {threshold}"))
    assert message in found
    assert found.startswith("weapons.yaml:8:")


def test_a_fitted_threshold_judges_and_its_flag_has_a_probability(
    folder: Path, labels: Path, samples: Path, encoder: LocalEncoder
) -> None:
    fitted = run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    assert fitted.exit_code == 0, fitted.stderr
    policy, file = the_policy(folder), stored(folder)
    assert policy.threshold == file["threshold"]
    assert (policy.provisional, policy.model) == (False, encoder.model_digest)
    assert policy.calibration is not None
    assert (policy.calibration.precision, policy.calibration.confidence) == (0.8, 0.8)
    evidence = file["evidence"]
    assert isinstance(evidence, dict)
    assert evidence["hits"] / evidence["flags"] >= 0.8
    replayed = CliRunner().invoke(app, ["replay", str(labels), "--policies", str(folder), "--format", "json"])
    measured = json.loads(replayed.stdout)["policies"][POLICY]
    assert sum(each["count"] for each in measured["reliability"]) == measured["images"]
    assert measured["calibration_error"] < 0.05
    said = said_of_a_flag(folder, samples)
    assert said["digest"] == policy.calibration.digest
    assert list(said["stale"]) == []
    assert 0.5 < said["probability"] <= 1


def said_of_a_flag(folder: Path, samples: Path) -> dict[str, Any]:
    """Return the calibration in the first flag of the leopards."""
    photographs = sorted((samples / "images/Leopards").iterdir())
    workbench = Workbench(Settings(), user="tester")
    for outcome in workbench.outcomes(workbench.bank(load_policy_set(folder)), photographs, read_files):
        assert isinstance(outcome, Verdict)
        for flag in outcome.flags:
            found: dict[str, Any] = flag_fields(outcome, flag)["calibration"]
            return found
    raise AssertionError("nothing was flagged")


def test_labels_without_sampling_probabilities_are_refused(folder: Path, labels: Path, samples: Path) -> None:
    unsaid = write_labels(labels.with_name("unsaid.csv"), samples, "")
    refused = run("calibrate", POLICY, "--policies", folder, "--labels", unsaid)
    assert isinstance(refused.exception, UsageError)
    assert "`--base-rate`" in str(refused.exception)
    assert not (folder / "calibrations").exists()


def test_too_little_data_is_refused_with_the_missing_number(folder: Path, labels: Path, policies: Path) -> None:
    """28 big cats cannot certify 0.95, which takes 59 flawless flags. With a low base rate they certify nothing."""
    rewrite(folder, policies / "wildlife-big_cats.yaml", "{ precision: 0.95 }")
    refused = run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    assert refused.exit_code == 1
    best = (
        r"highest precision of a threshold: measured [01]\.\d\d \(\d+ of \d+ labels\) at [\d.]+; supported 0\.\d\d at"
    )
    assert re.search(best, refused.stdout)
    missing = re.search(r"at least (\d+) more labels", refused.stdout)
    assert missing is not None
    assert int(missing[1]) > 20
    rewrite(folder, policies / "wildlife-big_cats.yaml", "{ precision: 0.8, confidence: 0.8 }")
    rare = run("calibrate", POLICY, "--policies", folder, "--labels", labels, "--base-rate", "0.001")
    assert rare.exit_code == 1, "what is precise among many cats is not where one image in a thousand is one"


def test_copies_of_an_image_count_as_one_label(folder: Path, labels: Path, samples: Path) -> None:
    run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    once = stored(folder)
    tripled = write_labels(labels.with_name("tripled.csv"), samples, "1", copies=3)
    run("calibrate", POLICY, "--policies", folder, "--labels", tripled)
    assert stored(folder)["evidence"] == once["evidence"]
    assert stored(folder)["threshold"] == once["threshold"]


def test_a_calibration_whose_inputs_change_is_reported_as_stale(folder: Path, labels: Path, policies: Path) -> None:
    """
    A change of the prompts, the target or the labels makes it stale and provisional; lint and a worker's flags name the
    change.
    """
    run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    file, fresh = folder / "cats.yaml", the_policy(folder)
    good = file.read_text()
    for edit, reason, message in (
        (
            good.replace("prompts:\n", "prompts:\n  - a snow leopard on a rock\n", 1),
            "prompts",
            "fitted to other prompts",
        ),
        (good.replace("precision: 0.8", "precision: 0.9"), "target", "fitted to another target"),
    ):
        file.write_text(edit)
        policy = the_policy(folder)
        assert policy.calibration is not None
        assert policy.calibration.stale == (reason,)
        assert (policy.provisional, policy.threshold) == (True, fresh.threshold)
        assert policy.digest != fresh.digest
        shown = run("lint", folder)
        assert message in shown.stdout
        assert "[stale-calibration]" in shown.stdout
    file.write_text(good)
    assert the_policy(folder) == fresh
    assert "stale-calibration" not in run("lint", folder).stdout
    labels.write_text(labels.read_text().replace("Leopards,1", "Leopards,0.5", 1))
    assert the_policy(folder).calibration.stale == ("data",)  # type: ignore[union-attr]  # it is there
    labels.unlink()
    assert the_policy(folder) == fresh, "labels that are elsewhere are not known to have changed"


def test_repeated_fits_test_the_same_thresholds(folder: Path, labels: Path) -> None:
    """The thresholds of the first fit are kept when labels are added, so that repeated fits find nothing by chance."""
    everything = labels.read_text().splitlines()
    labels.write_text("\n".join(everything[:120]) + "\n")
    first = run("calibrate", POLICY, "--policies", folder, "--labels", labels, "--watched")
    assert first.exit_code == 0, first.stdout
    kept = folder / "calibrations" / f"{POLICY}.grid"
    grid = json.loads(kept.read_text())["thresholds"]
    labels.write_text("\n".join(everything) + "\n")
    run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    assert json.loads(kept.read_text())["thresholds"] == grid
    assert stored(folder)["threshold"] in grid
    head, *rows = everything
    labels.write_text("\n".join([head, *sorted(rows, key=lambda row: row.split(",")[-2] not in CATS)]) + "\n")
    assert "sorted by answer" in str(run("calibrate", POLICY, "--policies", folder, "--labels", labels).exception)
    labels.write_text("\n".join(everything) + "\n")
    file = folder / "cats.yaml"
    file.write_text(file.read_text().replace("precision: 0.8", "precision: 0.7"))
    run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    assert json.loads(kept.read_text())["precision"] == 0.7, "another target, other thresholds"


def test_sequential_thresholds_are_kept_when_nothing_is_certified(folder: Path, labels: Path, policies: Path) -> None:
    """If each refusal led to new thresholds, the answers would influence the choice."""
    rewrite(folder, policies / "wildlife-big_cats.yaml", "{ precision: 0.99, confidence: 0.6 }")
    refused = run("calibrate", POLICY, "--policies", folder, "--labels", labels, "--sequential")
    assert refused.exit_code == 1
    assert (folder / "calibrations" / f"{POLICY}.grid").exists()
    assert not (folder / "calibrations" / f"{POLICY}.json").exists()


def test_a_queue_fits_a_threshold_to_its_length(folder: Path, policies: Path, samples: Path) -> None:
    """The fit uses images without labels, and is provisional until there are labels."""
    rewrite(folder, policies / "wildlife-big_cats.yaml", "{ queue: 20/day }")
    arguments = ("calibrate", POLICY, "--policies", folder, "--images", samples / "images/Leopards")
    assert "`--per-day N`" in str(run(*arguments).exception)
    assert run(*arguments, "--per-day", 100).exit_code == 0
    policy, evidence = the_policy(folder), stored(folder)["evidence"]
    assert policy.provisional
    assert isinstance(evidence, dict)
    photographs = len(list((samples / "images/Leopards").iterdir()))
    assert evidence["flags"] == photographs // 5
    assert said_of_a_flag(folder, samples)["precision"] is None
    assert "takes images without labels" in str(run(*arguments[:4], "--labels", samples / "labels.csv").exception)


def test_a_queue_is_at_most_as_long_as_requested() -> None:
    scores = np.random.default_rng(1).normal(size=1000)
    threshold, flags = queue_threshold(scores, images_per_day=50_000, flags_per_day=200)
    assert flags == 4 == (scores >= threshold).sum()
    with pytest.raises(UsageError, match=r"1000 images are too few: .* one in 5000; give at least 50000"):
        queue_threshold(scores, images_per_day=1_000_000, flags_per_day=200)


def test_a_number_is_not_fitted_and_a_damaged_calibration_is_named(folder: Path, policies: Path, labels: Path) -> None:
    run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    path = folder / "calibrations" / f"{POLICY}.json"
    path.write_text(path.read_text().replace('"threshold"', '"treshold"'))
    with pytest.raises(PolicyError, match=r"wildlife\.big_cats\.json:1:1: not a valid calibration: .*; fit it again"):
        load_policy_set(folder)
    path.unlink()
    rewrite(folder, policies / "wildlife-big_cats.yaml", "3.5")
    refused = run("calibrate", POLICY, "--policies", folder, "--labels", labels)
    assert "is a number; write a target instead" in str(refused.exception)


def test_copies_in_another_size_and_quality_are_found_and_other_photographs_are_not(samples: Path) -> None:
    photographs = sorted((samples / "images").rglob("*.jpg"))[::15]
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((128, 128))) for path in photographs]
    worse = []
    for path in photographs:
        small = io.BytesIO()
        Image.open(path).convert("RGB").resize((90, 70)).save(small, "JPEG", quality=40)
        worse.append(np.asarray(Image.open(small).resize((128, 128))))
    first = near_duplicates([difference_hash(each) for each in pixels + worse])
    count = len(photographs)
    assert (first[:count] == np.arange(count)).mean() > 0.98
    assert (first[count:] == first[:count]).mean() > 0.9


def sample(right: Callable[[NDArray[np.float64]], NDArray[np.float64]], count: int = 4000) -> Labels:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=count)
    answers = rng.random(count) < right(scores)
    return Labels(scores, answers, np.ones(count), np.arange(count))


def test_the_better_curve_is_chosen_and_is_near_the_truth() -> None:
    """A logistic truth gets a logistic curve; a step function gets isotonic regression."""

    def logistic(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-(2 * scores - 1))))

    def steps(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(scores > 1, 0.9, np.where(scores > -0.2, 0.5, 0.02))

    for truth, kind, few in ((logistic, Platt, 200), (steps, Isotonic, 4000)):
        fitted = fit_probability(sample(truth, few))
        assert fitted is not None
        assert isinstance(fitted.curve, kind)
        at = np.array([-1.4, -0.9, -0.5, 0.1, 0.6, 1.4])
        said = [fitted.curve.probability(score) for score in at.tolist()]
        assert np.abs(np.array(said) - truth(at)).max() < 0.15
        assert said == sorted(said)
    assert fit_probability(sample(np.zeros_like)) is None


def test_weights_scale_probabilities_to_the_stream() -> None:
    """Half of the labels are positive, but one in a thousand of the stream is: the probability is the stream's."""
    rng = np.random.default_rng(5)
    right = np.arange(2000) % 2 == 0
    scores = np.where(right, 1.0, 0.0) + rng.normal(size=2000)
    weights = np.where(right, 0.001, 0.999) / 0.5
    fitted = fit_probability(Labels(scores, right, weights, np.arange(2000)))
    assert fitted is not None
    truth = 1 / (1 + 999 * np.exp(-(1.0 - 0.5)))
    assert fitted.curve.probability(1.0) == pytest.approx(truth, rel=0.6)


def test_a_head_is_fitted_judges_and_belongs_to_one_model(
    folder: Path, labels: Path, policies: Path, encoder: LocalEncoder
) -> None:
    """The command compares it with the prompts. A head of another model does not judge, and is left out."""
    rewrite(folder, policies / "wildlife-big_cats.yaml", "3.5")
    fitted = run("fit-head", POLICY, "--policies", folder, "--labels", labels)
    assert fitted.exit_code == 0, fitted.stderr
    shown = re.search(
        r"average precision (\d\.\d+) on unseen labels \(28 of \d+ right\); its prompts (\d\.\d+)", fitted.stdout
    )
    assert shown is not None
    assert float(shown[1]) > 0.5
    words = the_policy(folder)
    file = folder / "cats.yaml"
    text = file.read_text().replace("score: contrast", f"score: linear\nhead: heads/{POLICY}.json")
    file.write_text(re.sub(r"threshold:.*", "threshold: 0", text))
    policy = the_policy(folder)
    assert policy.head is not None
    assert policy.head.model == encoder.model_digest
    assert policy.digest != words.digest
    replayed = CliRunner().invoke(app, ["replay", str(labels), "--policies", str(folder), "--format", "json"])
    assert json.loads(replayed.stdout)["policies"][POLICY]["average_precision"]["value"] > 0.9, "on what it has seen"
    stored_set = load_policy_set(folder)
    assert decode_set(encode_set(stored_set), stored_set.digest) == stored_set
    assert for_model(stored_set, {encoder.model_digest}) is stored_set
    assert for_model(stored_set, {"b" * 64}).policies == ()
    file.write_text(file.read_text().replace(f"heads/{POLICY}", "heads/none"))
    with pytest.raises(PolicyError, match=r"cats\.yaml:\d+:7: .*none\.json` cannot be read; `watch"):
        load_policy_set(folder)
    file.write_text(text.replace(f"head: heads/{POLICY}.json", ""))
    with pytest.raises(PolicyError, match="`score: linear` and `head` go together"):
        load_policy_set(folder)
