"""Build of a Triton model repository from a model bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.events.policies import PolicySet
from pipeline.extras import models_extra
from pipeline.ingest.folder import list_files
from pipeline.models.engines.parity import Limits, Parity
from pipeline.models.engines.repository import Serving
from pipeline.models.engines.tensorrt import BatchProfile
from pipeline.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from pipeline.models.engines.build import Plan

# The types of `pipeline.models.engines.build`, which is imported late because it needs onnx.
Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]
TENSORRT: tuple[Target, ...] = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """
    A model repository to build.

    None stands for the target's own precision and number of instances. `gpus` and `capabilities` are empty for the
    default: the first GPU of a GPU target, and the builder's choice.
    """

    bundle: Path
    repository: Path
    target: Target
    precision: Precision | None
    batch: BatchProfile
    instances: int | None
    gpus: tuple[int, ...]
    queue_delay_us: int
    capabilities: tuple[str, ...]

    def check(self) -> None:
        """Raise `UsageError` for options that the target does not support."""
        if self.gpus and self.target == "cpu":
            raise UsageError("`--gpu` is for the targets onnx, tensorrt and tensorrt-rtx")
        if self.capabilities and self.target not in TENSORRT:
            raise UsageError("`--capability` is for the targets tensorrt and tensorrt-rtx")


def build_model_repository(
    request: BuildRequest,
    images: Sequence[Path],
    policy_set: PolicySet,
    limits: Limits,
    progress: Progress = NO_PROGRESS,
) -> Parity:
    """
    Write a model repository. Every other image sets an int8 engine's scales; both engines judge the others.

    Returns the comparison of engine and bundle. Raises `UsageError`, and leaves nothing behind, when the engine exceeds
    `limits` or cannot be built.
    """
    with models_extra("engines"):
        from pipeline.models.engines.build import build_repository
        from pipeline.models.engines.engine_bundle import Evidence

    request.check()
    files = list_files(images)
    evidence = Evidence(files[::2], files[1::2], policy_set, limits)
    return build_repository(Bundle.load(request.bundle), request.repository, _plan(request), evidence, progress)


def _plan(request: BuildRequest) -> "Plan":
    from pipeline.models.engines.build import Plan

    on_gpu = request.target in TENSORRT or bool(request.gpus)
    serving = Serving(
        request.batch,
        request.instances or (1 if on_gpu else 2),
        request.gpus or ((0,) if on_gpu else ()),
        request.queue_delay_us,
    )
    precision = request.precision or ("fp16" if request.target in TENSORRT else "fp32")
    return Plan(request.target, precision, serving, request.capabilities)
