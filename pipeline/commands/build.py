"""`watchword models build`: a bundle to what Triton serves."""

from pathlib import Path
from typing import Literal

from pipeline.commands.console import output, progress_output
from pipeline.commands.extras import models_extra
from pipeline.commands.parity import print_table
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.ingest.folder import list_files
from pipeline.judge.load import load_policy_set
from pipeline.models.engines.parity import Limits

GPU_TARGETS = ("tensorrt", "tensorrt-rtx")


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
        from pipeline.models.engines.build import Plan, build_repository
        from pipeline.models.engines.engine_bundle import Evidence
        from pipeline.models.engines.repository import Serving
        from pipeline.models.engines.tensorrt import BatchProfile

    on_gpu = target in GPU_TARGETS
    if gpus and target == "cpu":
        raise UsageError("`--gpu` is for the targets onnx, tensorrt and tensorrt-rtx")
    serving = Serving(
        BatchProfile(*_sizes(batch)),
        instances or (1 if on_gpu else 2),
        gpus or ((0,) if on_gpu else ()),
        queue_delay_us,
    )
    plan = Plan(target, precision or ("fp16" if on_gpu else "fp32"), serving, capabilities)
    files = list_files(images)
    evidence = Evidence(files[::2], files[1::2], load_policy_set(policies), Limits(flip_rate=flip_rate))
    found = build_repository(Bundle.load(bundle), repository, plan, evidence, progress_output().print)
    print_table(found)
    output().print(f"`{repository}`: serve it with tritonserver --model-repository={repository}")
    output().print(f"workers: WATCHWORD_MODEL={repository}/clip_image/bundle")


def _sizes(batch: str) -> tuple[int, int, int]:
    try:
        smallest, typical, largest = (int(size) for size in batch.split(","))
    except ValueError as error:
        raise UsageError(f"`--batch {batch}`: three numbers, as 1,32,64") from error
    if not 1 <= smallest <= typical <= largest:
        raise UsageError(f"`--batch {batch}`: the sizes must not fall, and start at 1 or more")
    return smallest, typical, largest
