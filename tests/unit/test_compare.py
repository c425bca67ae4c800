"""Another model: thresholds that keep what a policy promised, and the verdicts that flip all the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.encode.bundle import Bundle, file_digest
from pipeline.errors import UsageError
from pipeline.models.evaluation.compare import keeping_count, keeping_precision

SCORES = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
RELEVANT = np.array([True, True, False, True, False, False])


@pytest.mark.parametrize(("precision", "flagged"), [(1.0, 2), (0.75, 4), (0.6, 5), (0.5, 6)])
def test_the_lowest_threshold_that_keeps_its_precision(precision: float, flagged: int) -> None:
    threshold = keeping_precision(SCORES, RELEVANT, precision)
    assert threshold is not None
    assert (threshold <= SCORES).sum() == flagged


def test_a_precision_that_no_threshold_has_is_not_kept() -> None:
    assert keeping_precision(SCORES, ~RELEVANT, 0.9) is None


def test_images_of_one_score_are_flagged_together_or_not_at_all() -> None:
    threshold = keeping_precision(np.array([3.0, 2.0, 2.0]), np.array([True, True, False]), 0.9)
    assert threshold == 2.5


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_a_threshold_that_flags_as_many(count: int) -> None:
    assert (keeping_count(SCORES, count) <= SCORES).sum() == count


@pytest.fixture(scope="module")
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that sees worse: the last layer of its image tower is made noisy."""
    folder = tmp_path_factory.mktemp("other") / "bundle"
    shutil.copytree(bundle.folder, folder)
    model = onnx.load(bundle.image_tower)
    head = next(node for node in model.graph.node if node.op_type == "Gemm")
    # Stored in half precision, under a name that says so.
    tensor = next(each for each in model.graph.initializer if each.name.startswith(head.input[1]))
    values = numpy_helper.to_array(tensor)
    noise = np.random.default_rng(2).normal(0, 4 * values.std(), values.shape).astype(values.dtype)
    tensor.CopyFrom(numpy_helper.from_array(values + noise, tensor.name))
    onnx.save(model, folder / "image.onnx")
    files = {**bundle.manifest.files, "image.onnx": file_digest(folder / "image.onnx")}
    bundle.manifest.model_copy(update={"files": files}).write(folder)
    return folder


def compare(*words: str) -> tuple[int, str]:
    run = CliRunner().invoke(app, ["models", "compare", *words])
    return run.exit_code, run.stdout


def test_a_model_against_itself_changes_nothing(bundle: Bundle, samples: Path, policies: Path) -> None:
    words = [str(bundle.folder)] * 2
    code, out = compare(
        *words, "--images", str(samples / "images/watch"), "--policies", str(policies), "--format", "json"
    )
    assert code == 0
    found = json.loads(out)
    assert all(not each["newly_flagged"] and not each["newly_cleared"] for each in found["policies"])
    assert any(each["flagged"] for each in found["policies"])


def test_a_worse_model_is_told_policy_by_policy_with_its_pictures(
    bundle: Bundle, other: Path, samples: Path, policies: Path, tmp_path: Path
) -> None:
    """With labels each threshold keeps its precision where one can, and what is lost is said."""
    words = [str(bundle.folder), str(other), "--data", str(samples), "--policies", str(policies)]
    code, out = compare(*words, "--format", "json", "--html", str(tmp_path / "flips.html"))
    assert code == 1
    found = json.loads(out)["policies"]
    assert any(each["retune"] for each in found)
    for each in found:
        if each["before"] and each["retune"] is None:
            assert each["after"]["precision"] >= each["before"]["precision"]
            assert each["after"]["recall"] > each["before"]["recall"] - 0.1
    page = (tmp_path / "flips.html").read_text()
    flips = sum(len(each["newly_flagged"]) + len(each["newly_cleared"]) for each in found)
    assert page.count("<button") == min(flips, 300)
    assert "newly flagged" in page
    assert "cleared" in page


def test_without_images_it_says_what_to_name(bundle: Bundle) -> None:
    run = CliRunner().invoke(app, ["models", "compare", str(bundle.folder), str(bundle.folder)])
    assert isinstance(run.exception, UsageError)
    assert "`--images`" in str(run.exception)
