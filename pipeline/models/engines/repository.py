"""A Triton model repository for a bundle: the models `clip_image` and `clip_text`, for any backend."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.encode.bundle import MANIFEST, Bundle
from pipeline.encode.contract import IMAGE_MODEL, TEXT_MODEL, serving_version
from pipeline.models.engines.tensorrt import BatchProfile
from pipeline.models.engines.triton_config import (
    FP32,
    GPU,
    INT64,
    UINT8,
    DynamicBatching,
    InstanceGroup,
    ModelConfig,
    Parameter,
    Tensor,
    WarmUp,
    WarmUpInput,
)

Backend = Literal["python", "onnxruntime_onnx", "tensorrt_plan"]

# The bundle lies in a folder of the image model. Triton ignores it, since its name is no version number.
BUNDLE_FOLDER = "bundle"
PYTHON_MODEL = Path(__file__).parent / "backend" / "model.py"
TEXT_BATCH = 32


@dataclass(frozen=True, slots=True)
class Serving:
    """Triton's settings of the image tower. Empty `gpus` mean the CPU; `instances` run on the CPU or on each GPU."""

    batch: BatchProfile = field(default_factory=BatchProfile)
    instances: int = 2
    gpus: tuple[int, ...] = ()
    queue_delay_us: int = 500


def image_config(bundle: Bundle, backend: Backend, serving: Serving, parameters: dict[str, str]) -> ModelConfig:
    """Return the image tower's configuration, which follows the encoder contract for every backend."""
    side = bundle.manifest.image_size
    images = (side, side, 3)
    group = InstanceGroup(serving.instances, *((GPU, serving.gpus) if serving.gpus else ()))
    return ModelConfig(
        name=IMAGE_MODEL,
        backend=backend if backend == "python" else None,
        platform=None if backend == "python" else backend,
        max_batch_size=serving.batch.largest,
        input=(Tensor("images", UINT8, images),),
        output=(Tensor("image_embeds", FP32, (bundle.manifest.dimension,)),),
        dynamic_batching=DynamicBatching((serving.batch.typical,), serving.queue_delay_us),
        instance_group=(group,),
        model_warmup=(
            WarmUp("one", 1, {"images": WarmUpInput(UINT8, images, zero_data=True)}),
            WarmUp("batch", serving.batch.typical, {"images": WarmUpInput(UINT8, images, random_data=True)}),
        ),
        parameters=_parameters(bundle, parameters),
    )


def text_config(bundle: Bundle, backend: Backend, parameters: dict[str, str]) -> ModelConfig:
    """Return the text tower's configuration. It runs on the CPU, since a policy set is encoded once."""
    return ModelConfig(
        name=TEXT_MODEL,
        backend=backend if backend == "python" else None,
        platform=None if backend == "python" else backend,
        max_batch_size=TEXT_BATCH,
        input=(Tensor("input_ids", INT64, (-1,)),),
        output=(Tensor("text_embeds", FP32, (bundle.manifest.dimension,)),),
        dynamic_batching=DynamicBatching(),
        instance_group=(InstanceGroup(1),),
        model_warmup=(WarmUp("one", 1, {"input_ids": WarmUpInput(INT64, (bundle.manifest.context,), zero_data=True)}),),
        parameters=_parameters(bundle, parameters),
    )


def python_parameters(tower: str, bundle_path: str) -> dict[str, str]:
    """Return the parameters of the Python backend: its tower, threads for each instance, and path of the bundle."""
    return {"tower": tower, "threads": "1", "bundle": bundle_path}


def write_model(repository: Path, config: ModelConfig, file: Path) -> None:
    """Write one model: `file` under the name that its backend expects, in the version that the digest determines."""
    name = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}.get(config.platform or "", "model.py")
    version = repository / config.name / str(serving_version(config.parameters["model_digest"].string_value))
    version.mkdir(parents=True)
    shutil.copy(file, version / name)
    if (weights := file.with_suffix(".weights")).exists():
        shutil.copy(weights, version)
    (repository / config.name / "config.pbtxt").write_text(config.text())


def copy_bundle(bundle: Bundle, repository: Path) -> None:
    """Copy the bundle to the folder that the models open and that a worker's WATCHWORD_MODEL names."""
    folder = repository / IMAGE_MODEL / BUNDLE_FOLDER
    folder.mkdir(parents=True)
    for name in (*bundle.manifest.files, MANIFEST, "CARD.md"):
        if (bundle.folder / name).exists():
            shutil.copy(bundle.folder / name, folder / name)


def _parameters(bundle: Bundle, more: dict[str, str]) -> dict[str, Parameter]:
    return {name: Parameter(value) for name, value in {**more, "model_digest": bundle.digest}.items()}
