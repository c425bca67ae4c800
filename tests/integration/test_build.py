"""Model repositories for Triton: configurations that Triton's schema accepts, and engines that were judged first."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import serving_version
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.events.images import ImageLimits
from pipeline.events.policies import PolicySet
from pipeline.ingest.decode import decode
from pipeline.models.engines.build import Plan, build_repository
from pipeline.models.engines.engine_bundle import Evidence
from pipeline.models.engines.half import write_cast_first, write_half
from pipeline.models.engines.parity import Limits
from pipeline.models.engines.repository import Serving, image_config
from pipeline.models.engines.tensorrt import BatchProfile, Binding, Engine, build_engine, error_logger, load_library
from pipeline.policies.load import load_policy_set
from tests.support.serving import served
from tests.support.triton_models import SHIPPED, shipped_configs

PROFILE = BatchProfile(1, 8, 16)


@pytest.fixture(scope="module")
def photographs(samples: Path) -> list[Path]:
    return [row.path for row in read_labels(samples / "labels.csv", "val")][::6]


@pytest.fixture(scope="module")
def policy_set(policies: Path) -> PolicySet:
    return load_policy_set(policies)


@pytest.fixture
def evidence(photographs: list[Path], policy_set: PolicySet) -> Evidence:
    # Among so few images one flip is more than the usual share.
    return Evidence(photographs[::2], photographs[1::2], policy_set, Limits(flip_rate=0.05))


def parsed(text: str) -> model_config_pb2.ModelConfig:
    config = model_config_pb2.ModelConfig()
    text_format.Parse(text, config)
    return config


@pytest.mark.parametrize("backend", ["python", "onnxruntime_onnx", "tensorrt_plan"])
def test_a_configuration_has_the_given_values(backend: str, bundle: Bundle) -> None:
    serving = Serving(PROFILE, instances=3, gpus=(0, 2), queue_delay_us=750)
    config = parsed(image_config(bundle, backend, serving, {"note": 'a "quoted" word\n'}).text())  # type: ignore[arg-type]
    assert (config.backend or config.platform) == backend
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 750
    group = config.instance_group[0]
    assert (group.count, group.kind, list(group.gpus)) == (3, group.KIND_GPU, [0, 2])
    assert [warm.batch_size for warm in config.model_warmup] == [1, 8]
    assert config.model_warmup[1].inputs["images"].random_data
    assert config.parameters["note"].string_value == 'a "quoted" word\n'
    assert config.parameters["model_digest"].string_value == bundle.digest
    assert config.HasField("response_cache")
    assert not config.response_cache.enable
    assert config.version_policy.latest.num_versions == 1


def test_the_shipped_repository_equals_the_generated_one() -> None:
    """After a new bundle: `python -m tests.support.triton_models`."""
    for config in shipped_configs():
        assert (SHIPPED / config.name / "config.pbtxt").read_text() == config.text()


@pytest.mark.integration
def test_triton_serves_the_built_engine_with_the_checked_embeddings(
    evidence: Evidence, bundle: Bundle, photographs: list[Path], tmp_path: Path
) -> None:
    """An int8 engine on the CPU is built by the command, and its embeddings are read over gRPC."""
    repository = tmp_path / "models"
    build_repository(bundle, repository, Plan("cpu", "int8", Serving(PROFILE, instances=1)), evidence)
    engine = Bundle.load(repository / "clip_image/bundle")
    assert engine.manifest.derived is not None
    assert engine.manifest.derived.parent == bundle.digest
    with served(repository, engine, tmp_path / "state", batch_size=8, shared_memory="off") as encoder:
        pixels = np.stack([decode(file.read_bytes(), engine.pixels, ImageLimits()).pixels for file in photographs[:8]])
        local = LocalEncoder(engine, threads=1)
        np.testing.assert_allclose(encoder.encode_images(pixels), local.encode_images(pixels), atol=1e-5)
        np.testing.assert_allclose(encoder.encode_texts(["a revolver"]), local.encode_texts(["a revolver"]), atol=1e-5)


def half_engine(bundle: Bundle, folder: Path) -> Engine:
    write_half(bundle.image_tower, folder / "half.onnx")
    write_cast_first(folder / "half.onnx", folder / "graph.onnx")
    return build_engine(folder / "graph.onnx", "tensorrt-rtx", PROFILE, capabilities=("SM89", "SM120"))


def test_a_tensorrt_engine_has_the_contracts_tensors_and_the_profile(bundle: Bundle, tmp_path: Path) -> None:
    """
    The engine is built in half precision, without a GPU; its tensors come from the builder, and its size fits its
    weights.
    """
    engine = half_engine(bundle, tmp_path)
    side = bundle.pixels.size
    images, embeds = engine.bindings
    assert (images.name, images.mode, images.dtype, images.shape) == ("images", "input", "UINT8", (-1, side, side, 3))
    assert images.sizes == tuple((size, side, side, 3) for size in (1, 8, 16))
    assert (embeds.name, embeds.mode, embeds.dtype) == ("image_embeds", "output", "FLOAT")
    assert embeds.shape == (-1, bundle.manifest.dimension)
    # The bundle stores its weights in half precision too.
    assert len(engine.plan) > bundle.image_tower.stat().st_size / 2, "the weights are in it"
    assert len(engine.plan) < 2 * bundle.image_tower.stat().st_size, "in half precision"


def opened(plan: bytes) -> tuple[Binding, ...]:
    """Return the tensors of an opened engine; skip the test without a GPU, where it cannot be opened."""
    trt = load_library("tensorrt-rtx")
    logger = error_logger(trt)
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        assert "CUDA" in logger.last_error
        pytest.skip(logger.last_error)
    return tuple(binding(trt, engine, engine.get_tensor_name(i)) for i in range(engine.num_io_tensors))


def binding(trt: Any, engine: Any, name: str) -> Binding:
    dtype, shape = engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name))
    if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT:
        return Binding(name, "output", dtype, shape, ())
    return Binding(name, "input", dtype, shape, tuple(map(tuple, engine.get_tensor_profile_shape(name, 0))))


def test_an_opened_engine_has_the_tensors_it_was_built_with(bundle: Bundle, tmp_path: Path) -> None:
    """Only a machine with a GPU can open an engine."""
    engine = half_engine(bundle, tmp_path)
    assert opened(engine.plan) == engine.bindings


def test_an_unknown_compute_capability_is_named(bundle: Bundle, tmp_path: Path) -> None:
    write_cast_first(bundle.image_tower, tmp_path / "graph.onnx")
    with pytest.raises(UsageError, match="unknown compute capability SM90; known are"):
        build_engine(tmp_path / "graph.onnx", "tensorrt-rtx", PROFILE, capabilities=("SM90",))


def test_half_precision_has_unit_length_and_judges_alike(bundle: Bundle, evidence: Evidence, tmp_path: Path) -> None:
    plan = Plan("tensorrt-rtx", "fp16", Serving(PROFILE, instances=1, gpus=(0,)), ("SM89",))
    parity = build_repository(bundle, tmp_path / "models", plan, evidence)
    assert not parity.flips
    assert parity.cosine_min > 0.999
    engine = Bundle.load(tmp_path / "models/clip_image/bundle")
    pixels = np.random.default_rng(1).integers(0, 255, (4, engine.pixels.size, engine.pixels.size, 3), dtype=np.uint8)
    lengths = np.linalg.norm(LocalEncoder(engine).encode_images(pixels), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    config = parsed((tmp_path / "models/clip_image/config.pbtxt").read_text())
    assert config.platform == "tensorrt_plan"
    assert config.parameters["built_by"].string_value.startswith("tensorrt-rtx 1.")
    assert config.parameters["built_for"].string_value == "SM89"
    assert parsed((tmp_path / "models/clip_text/config.pbtxt").read_text()).backend == "python"


def test_an_onnx_repository_holds_the_graphs_themselves(bundle: Bundle, evidence: Evidence, tmp_path: Path) -> None:
    build_repository(bundle, tmp_path / "models", Plan("onnx", "fp32", Serving(PROFILE)), evidence)
    for model, tower in (("clip_image", bundle.image_tower), ("clip_text", bundle.text_tower)):
        served = tmp_path / f"models/{model}/{serving_version(bundle.digest)}/model.onnx"
        assert served.read_bytes() == tower.read_bytes()
        assert parsed((tmp_path / f"models/{model}/config.pbtxt").read_text()).platform == "onnxruntime_onnx"


def test_a_refused_engine_leaves_no_repository(bundle: Bundle, evidence: Evidence, tmp_path: Path) -> None:
    strict = Evidence(evidence.calibration, evidence.held_out, evidence.policy_set, Limits(cosine=0.9999999))
    with pytest.raises(UsageError, match="refused"):
        build_repository(bundle, tmp_path / "models", Plan("cpu", "int8", Serving()), strict)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "cpu", "--precision", "fp16"], "target `cpu` has fp32 and int8, not fp16"),
        (["--target", "cpu", "--gpu", "0"], "`--gpu` is for the targets"),
        (["--target", "onnx", "--capability", "SM89"], "`--capability` is for the targets"),
        (["--target", "cpu", "--batch", "8,4,16"], "the sizes must be at least 1 and must not decrease"),
        (["--target", "cpu", "--batch", "many"], "three numbers"),
        (["--target", "tensorrt-rtx", "--batch", "4,8,16"], "the smallest batch must be 1"),
    ],
)
def test_wrong_options_are_reported(
    options: list[str], message: str, bundle: Bundle, samples: Path, tmp_path: Path
) -> None:
    words = ["models", "build", str(bundle.folder), "--images", str(samples / "images/watch")]
    run = CliRunner().invoke(app, [*words, "--repository", str(tmp_path / "models"), *options])
    assert isinstance(run.exception, UsageError)
    assert message in str(run.exception)
