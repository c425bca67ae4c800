"""Engines of the shipped model on real photographs: the int8 engine passes, and damaged engines are refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.digests import file_digest
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.events.policies import PolicySet
from pipeline.models.engines.engine_bundle import Evidence, write_engine_bundle
from pipeline.models.engines.half import write_half
from pipeline.models.engines.parity import Limits, Parity, compare
from pipeline.models.engines.quantise import _Calibration
from pipeline.policies.load import load_policy_set
from tests.support.ports import free_ports
from tests.support.remembered import Embeddings
from tests.support.stream import Stack

SHIPPED_BYTES = 12_000_000


@pytest.fixture(scope="module", autouse=True)
def _shipped_once(encoded: Embeddings, bundle: Bundle) -> Iterator[None]:
    """The embeddings of the shipped bundle are the reference of every test here."""
    with encoded.used(bundle):
        yield


@pytest.fixture(scope="module")
def photographs(samples: Path) -> list[Path]:
    """Every third photograph of `val`: enough to detect damage quickly."""
    return [row.path for row in read_labels(samples / "labels.csv", "val")][::3]


@pytest.fixture(scope="module")
def policy_set(policies: Path) -> PolicySet:
    return load_policy_set(policies)


@pytest.fixture(scope="module")
def int8(
    tmp_path_factory: pytest.TempPathFactory, samples: Path, bundle: Bundle, policy_set: PolicySet
) -> tuple[Bundle, Parity]:
    folder = tmp_path_factory.mktemp("engines") / "int8"
    calibration = [row.path for row in read_labels(samples / "labels.csv", "val")]
    held_out = [row.path for row in read_labels(samples / "labels.csv", "test")]
    _, parity = write_engine_bundle(bundle, folder, "int8", Evidence(calibration, held_out, policy_set, Limits()))
    return Bundle.load(folder), parity


@pytest.mark.slow
def test_int8_flips_at_most_one_verdict_in_two_hundred(int8: tuple[Bundle, Parity], bundle: Bundle) -> None:
    """This holds on `test`, which did not calibrate it. An embedding does not depend on its batch at all."""
    engine, parity = int8
    assert parity.images == 1007
    assert parity.flip_rate <= 0.005
    assert parity.batch_difference <= 1e-5
    assert engine.manifest.derived is not None
    assert engine.manifest.derived.parent == bundle.digest
    assert engine.digest != bundle.digest
    assert engine.image_tower.stat().st_size + engine.text_tower.stat().st_size < SHIPPED_BYTES


def test_a_bundle_agrees_with_itself(
    bundle: Bundle, photographs: list[Path], policy_set: PolicySet, encoded: Embeddings
) -> None:
    with encoded.unused():
        parity = compare(bundle, bundle, photographs[:64], policy_set)
    assert not parity.flips
    assert parity.cosine_min == pytest.approx(1, abs=1e-6)
    assert not parity.refusals(Limits())


Damage = Callable[[Path, Path, np.ndarray], None]


def swapped_channels(source: Path, target: Path, _: np.ndarray) -> None:
    model = onnx.load(source)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "images":
                node.input[place] = "images_bgr"
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "bgr"))
    model.graph.node.insert(0, helper.make_node("Gather", ["images", "bgr"], ["images_bgr"], axis=3))
    onnx.save(model, target)


def overflowing(source: Path, target: Path, _: np.ndarray) -> None:
    """Half precision of a tower whose intermediate values exceed its range; in float32 the tower computes the same."""
    model = onnx.load(source)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    made, conv.output[0] = conv.output[0], "small"
    for name, factor in (("up", 1e6), ("down", 1e-6)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, dtype=np.float32), name))
    place = list(model.graph.node).index(conv) + 1
    model.graph.node.insert(place, helper.make_node("Mul", ["large", "down"], [made]))
    model.graph.node.insert(place, helper.make_node("Mul", ["small", "up"], ["large"]))
    onnx.save(model, target)
    write_half(target, target)


def everything_per_tensor(source: Path, target: Path, dark: np.ndarray) -> None:
    """Every operation in int8, with one scale for each tensor, calibrated on images unlike the stream."""
    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    quantize_static(str(target), str(target), _Calibration(dark), per_channel=False)


def dynamic_scales(source: Path, target: Path, _: np.ndarray) -> None:
    """Scales computed from each batch."""
    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    model = onnx.load(target)
    del model.graph.value_info[:]
    quantize_dynamic(model, str(target), weight_type=QuantType.QUInt8)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (swapped_channels, "verdicts flip"),
        (everything_per_tensor, "lowest hundredth of cosines"),
        (dynamic_scales, "differs by"),
    ],
)
def test_a_damaged_engine_is_refused(
    damage: Damage, reason: str, tmp_path: Path, bundle: Bundle, photographs: list[Path], policy_set: PolicySet
) -> None:
    damaged = damaged_bundle(damage, bundle, tmp_path)
    refusals = compare(bundle, damaged, photographs, policy_set).refusals(Limits())
    assert any(reason in line for line in refusals), refusals


def test_an_engine_that_returns_nan_is_refused(
    tmp_path: Path, bundle: Bundle, photographs: list[Path], policy_set: PolicySet
) -> None:
    with pytest.raises(UsageError, match=r"the candidate is refused: .* not finite"):
        compare(bundle, damaged_bundle(overflowing, bundle, tmp_path), photographs, policy_set)


def damaged_bundle(damage: Damage, bundle: Bundle, tmp_path: Path) -> Bundle:
    dark = np.full((4, bundle.pixels.size, bundle.pixels.size, 3), 8, dtype=np.uint8)
    damage(bundle.image_tower, tmp_path / "image.onnx", dark)
    for name in ("text.onnx", "tokenizer.json"):
        shutil.copy(bundle.folder / name, tmp_path / name)
    files = {**bundle.manifest.files, "image.onnx": file_digest(tmp_path / "image.onnx")}
    bundle.manifest.model_copy(update={"files": files}).write(tmp_path)
    return Bundle.load(tmp_path)


def test_an_engine_that_is_refused_leaves_nothing(
    tmp_path: Path, bundle: Bundle, photographs: list[Path], policy_set: PolicySet
) -> None:
    evidence = Evidence(photographs[:16], photographs[16:48], policy_set, Limits(cosine=0.999999))
    with pytest.raises(UsageError, match="refused"):
        write_engine_bundle(bundle, tmp_path / "int8", "int8", evidence)
    assert not (tmp_path / "int8").exists()


def test_the_command_reports_flips_and_its_exit_code_says_if_refused(
    int8: tuple[Bundle, Parity], bundle: Bundle, photographs: list[Path], policies: Path
) -> None:
    engine, _ = int8
    arguments = ["models", "parity", str(bundle.folder), str(engine.folder), "--policies", str(policies)]
    arguments += [part for photograph in photographs for part in ("--images", str(photograph))]
    let_through = CliRunner().invoke(app, [*arguments, "--flip-rate", "0.02"])
    assert let_through.exit_code == 0, let_through.output
    assert "the candidate may be used" in let_through.output
    assert "weapons.firearms" in let_through.output
    refused = CliRunner().invoke(app, [*arguments, "--cosine", "0.99999"])
    assert refused.exit_code == 1
    assert "is required" in refused.output


def test_thresholds_of_another_model_are_reported(
    bundle: Bundle, photographs: list[Path], policies: Path, tmp_path: Path
) -> None:
    """A policy without flags cannot flip, so a reader of the result must know."""
    shutil.copytree(bundle.folder, tmp_path / "other")
    bundle.manifest.model_copy(update={"name": "other"}).write(tmp_path / "other")
    words = ["models", "parity", *[str(tmp_path / "other")] * 2, "--policies", str(policies)]
    run = CliRunner().invoke(app, [*words, "--images", str(photographs[0])])
    assert run.exit_code == 0, run.output
    assert "were fitted for another model" in " ".join(run.stdout.split())


def test_a_server_that_does_not_answer_is_an_error_not_a_refusal(
    bundle: Bundle, photographs: list[Path], policies: Path
) -> None:
    words = ["models", "parity", *[str(bundle.folder)] * 2, "--policies", str(policies)]
    address = f"127.0.0.1:{free_ports(1)[0]}"
    run = CliRunner().invoke(app, [*words, "--images", str(photographs[0]), "--triton", address])
    assert isinstance(run.exception, UsageError)
    assert address in str(run.exception)


@pytest.mark.integration
def test_an_engine_on_a_server_passes_the_same_checks(
    stack: Stack, bundle: Bundle, photographs: list[Path], policies: Path
) -> None:
    """Behind Triton the shipped bundle judges as in process; the server does not serve another bundle."""
    words = ["models", "parity", str(bundle.folder), str(bundle.folder), "--policies", str(policies)]
    images = [word for file in photographs[:64] for word in ("--images", str(file))]
    run = CliRunner().invoke(app, [*words, *images, "--triton", stack.triton_url, "--format", "json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["flips"] == []
    assert found["images"] == 64
    assert found["cosine_min"] > 0.9999


@pytest.mark.integration
def test_a_server_with_another_model_is_reported(
    stack: Stack, int8: tuple[Bundle, Parity], bundle: Bundle, photographs: list[Path], policies: Path
) -> None:
    words = ["models", "parity", str(bundle.folder), str(int8[0].folder), "--policies", str(policies)]
    run = CliRunner().invoke(app, [*words, "--images", str(photographs[0]), "--triton", stack.triton_url])
    assert isinstance(run.exception, UsageError)
    assert "serves model" in str(run.exception)
