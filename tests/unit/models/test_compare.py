"""Another model: thresholds that keep a policy's target, and verdicts that flip nevertheless."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.digests import file_digest
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.events.calibration import Calibration
from pipeline.ingest.folder import list_files
from pipeline.models.evaluation.compare import _fit, compare_models, keeping_count, keeping_precision
from pipeline.operations.models.compare import flipped_images
from pipeline.policies.load import load_policy_set
from tests.support.publishing import two_policies

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
def test_a_threshold_can_keep_the_number_of_flags(count: int) -> None:
    assert (keeping_count(SCORES, count) <= SCORES).sum() == count


@pytest.fixture(scope="module")
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worse model: the last layer of its image tower has added noise."""
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
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run.exit_code, run.stdout


def test_a_model_against_itself_changes_nothing(bundle: Bundle, samples: Path, policies: Path) -> None:
    words = [str(bundle.folder)] * 2
    flagged = ("watch", "dollar_bill", "revolver", "Leopards", "flamingo", "elephant", "crocodile", "hawksbill")
    images = [word for category in flagged for word in ("--images", str(samples / "images" / category))]
    code, out = compare(*words, *images, "--policies", str(policies), "--format", "json")
    assert code == 0
    found = json.loads(out)
    assert all(not each["newly_flagged"] and not each["newly_cleared"] for each in found["policies"])
    assert all(each["flagged"] for each in found["policies"])


def test_a_policy_the_old_model_never_flags_has_no_evidence(bundle: Bundle, samples: Path, policies: Path) -> None:
    words = [str(bundle.folder)] * 2
    code, out = compare(
        *words, "--images", str(samples / "images/watch"), "--policies", str(policies), "--format", "json"
    )
    assert code == 1
    reasons = {each["id"]: each["retune"] for each in json.loads(out)["policies"]}
    assert reasons["counterfeit.branded_goods"] is None
    assert "flags none of these images" in reasons["weapons.firearms"]


def test_a_threshold_of_neither_model_is_reported(bundle: Bundle, other: Path, samples: Path, policies: Path) -> None:
    """No shipped threshold was fitted for the old model here."""
    words = [str(other), str(bundle.folder), "--images", str(samples / "images/watch"), "--policies", str(policies)]
    code, out = compare(*words, "--format", "json")
    assert code == 1
    assert all("was not fitted for the old model" in each["retune"] for each in json.loads(out)["policies"])


@pytest.mark.parametrize(("wrong", "certified"), [(0, True), (20, False)])
def test_a_calibrated_policys_target_is_certified_again(wrong: int, certified: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Both cases have 120 labels: all positive at the top, or one in six negative."""
    (tmp_path / "p.yaml").write_text(
        "id: p\ntitle: p\nprompts: [a]\nthreshold: 1\nseverity: low\naction: look\nowner: us\n"
    )
    [policy] = load_policy_set(tmp_path).policies
    policy = replace(policy, calibration=Calibration("d", "l", "p", 0.95, 0.95, None))
    scores = np.linspace(10, 0, 240)
    relevant = np.arange(240) < 120
    relevant[np.arange(wrong) * 6] = False
    found = _fit(policy, scores, relevant, None)
    assert (found.refused is None) == certified
    if certified:
        assert found.threshold is not None
        assert relevant[scores >= found.threshold].mean() >= 0.95


def test_a_worse_model_is_reported_policy_by_policy_with_pictures(
    bundle: Bundle, other: Path, samples: Path, policies: Path, tmp_path: Path
) -> None:
    """With labels, each threshold keeps its precision if possible, and the lost recall is reported."""
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


def test_no_page_shows_an_image_that_a_restricted_policy_flags(
    bundle: Bundle, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for a flip of any policy; the access is recorded."""
    folder = two_policies(tmp_path / "policies")
    with (folder / "weapons-firearms.yaml").open("a") as text:
        text.write("restricted: true\n")
    monkeypatch.setenv("WATCHWORD_ACCESS_LOG", str(tmp_path / "access.jsonl"))
    images = [word for name in ("revolver", "Leopards") for word in ("--images", str(samples / "images" / name))]
    compare(str(bundle.folder), str(bundle.folder), *images, "--policies", str(folder))
    noted = json.loads((tmp_path / "access.jsonl").read_text())
    assert (noted["command"], noted["policies"]) == ("models compare", ["weapons.firearms"])

    files = list_files([samples / "images/revolver", samples / "images/Leopards"])
    found = compare_models(bundle, bundle, files, load_policy_set(folder))
    withheld = sorted(found.withheld)
    assert withheld
    assert {file.parent.name for file in withheld} == {"revolver"}
    others = [file for file in files if file not in found.withheld][:2]
    flips = replace(found.changes[0], newly_flagged=(withheld[0], *others), newly_cleared=())
    shown = flipped_images(replace(found, changes=(flips,)), side=64, most=300)
    assert [image.file for image in shown] == others
    assert all(image.thumbnail for image in shown)


def test_without_images_the_error_names_the_options(bundle: Bundle) -> None:
    run = CliRunner().invoke(app, ["models", "compare", str(bundle.folder), str(bundle.folder)])
    assert isinstance(run.exception, UsageError)
    assert "`--images`" in str(run.exception)
