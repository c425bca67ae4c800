"""`watchword models build`: a bundle to what Triton serves."""

from pathlib import Path
from typing import Literal

from pipeline.cli.console import output, progress_output
from pipeline.cli.models.parity import print_table
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.extras import models_extra
from pipeline.ingest.folder import list_files
from pipeline.models.engines.parity import Limits
from pipeline.policies.load import load_policy_set


def run_build(
    bundle: Path,
    repository: Path,
    images: list[Path],
    policies: Path,
    *,
    target: Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"],
    precision: Literal["fp32", "fp16", "int8"] | None,
    batch: str,
    instances: int | None,
    gpus: tuple[int, ...],
    queue_delay_us: int,
    capabilities: tuple[str, ...],
    flip_rate: float,
) -> None:
    """Write the repository and say how near its engine is."""
    with models_extra("engines"):
        from pipeline.models.engines.build import GPU_TARGETS, Plan, build_repository
        from pipeline.models.engines.engine_bundle import Evidence
        from pipeline.models.engines.repository import Serving
        from pipeline.models.engines.tensorrt import BatchProfile

    on_gpu = target in GPU_TARGETS or bool(gpus)
    if gpus and target == "cpu":
        raise UsageError("`--gpu` is for the targets onnx, tensorrt and tensorrt-rtx")
    if capabilities and target not in GPU_TARGETS:
        raise UsageError("`--capability` is for the targets tensorrt and tensorrt-rtx")
    serving = Serving(
        BatchProfile(*_sizes(batch)),
        instances or (1 if on_gpu else 2),
        gpus or ((0,) if on_gpu else ()),
        queue_delay_us,
    )
    plan = Plan(target, precision or ("fp16" if target in GPU_TARGETS else "fp32"), serving, capabilities)
    files = list_files(images)
    evidence = Evidence(files[::2], files[1::2], load_policy_set(policies), Limits(flip_rate=flip_rate))
    found = build_repository(Bundle.load(bundle), repository, plan, evidence, progress_output().print)
    print_table(found)
    _say_what_next(bundle, repository, target)


def _say_what_next(bundle: Path, repository: Path, target: Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]) -> None:
    engine = repository.absolute() / "clip_image/bundle"
    if target == "tensorrt-rtx":
        output().print(
            f"`{repository}`: for TensorRT for RTX itself; Triton's TensorRT backend does not open its plans"
        )
    else:
        output().print(f"`{repository}`: serve it with tritonserver --model-repository={repository}")
    if target == "tensorrt":
        output().print(
            "the graph was judged, its compiled plan was not; judge it where it is served: "
            f"watchword models parity {bundle} {engine} --triton HOST:8001 --images …"
        )
    output().print(f"workers: WATCHWORD_MODEL={engine}")


def _sizes(batch: str) -> tuple[int, int, int]:
    try:
        smallest, typical, largest = (int(size) for size in batch.split(","))
    except ValueError as error:
        raise UsageError(f"`--batch {batch}`: three numbers, as 1,32,64") from error
    if not 1 <= smallest <= typical <= largest:
        raise UsageError(f"`--batch {batch}`: the sizes must not fall, and start at 1 or more")
    return smallest, typical, largest
