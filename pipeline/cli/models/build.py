"""`watchword models build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.models.options import FlipRate, ImageSample, Policies
from pipeline.cli.session import session_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.models.engines.tensorrt import BatchProfile

# The types of pipeline.operations.models.build, which is imported when the command runs.
Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]


def build(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    target: Annotated[Target, typer.Option(help="Engine of the image tower behind Triton.")],
    repository: Annotated[Path, typer.Option(help="New folder of the model repository.")],
    images: ImageSample,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Precision of the engine.  [default: fp16 for tensorrt and tensorrt-rtx, else fp32]"),
    ] = None,
    policies: Policies = Path("policies"),
    batch: Annotated[
        str,
        typer.Option(
            help="Smallest, typical and largest batch. The largest must be at least the workers' WATCHWORD_BATCH_SIZE."
        ),
    ] = "1,32,64",
    instances: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of instances, on the CPU or on each GPU.  [default: 2 on the CPU, 1 on a GPU]"
        ),
    ] = None,
    gpu: Annotated[
        list[int] | None, typer.Option(help="Number of a GPU to run on, for onnx and tensorrt (repeatable).")
    ] = None,
    queue_delay_us: Annotated[
        int, typer.Option(min=0, help="Maximum time that Triton waits to fill a batch, in µs.")
    ] = 500,
    capability: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capability to build for, for example SM89 (repeatable).  [default: the builder's choice]"
        ),
    ] = None,
    flip_rate: FlipRate = 0.005,
) -> None:
    """
    Write a Triton model repository whose engine judges like the bundle.

    Use a sample of the stream as images: half of them set the scales of an int8 engine, the other half is judged with
    both bundle and engine. An engine that judges differently is refused. Policy texts are always encoded in float32.
    Set WATCHWORD_MODEL=REPOSITORY/clip_image/bundle for the workers. Needs the extra `engines`, and `tensorrt-rtx` for
    that target.

    Exit codes: 0 written, 2 refused or an error.

    Examples: `watchword models build pipeline/bundles/caltech-small --target cpu --precision int8 --repository out/cpu
    --images samples` ·
    `watchword models build out/clip-b32 --target tensorrt --gpu 0 --gpu 1 --repository out/gpu --images uploads
    --policies clip-b32-policies`
    """
    from pipeline.cli.models.parity_output import print_parity
    from pipeline.models.engines.parity import Limits
    from pipeline.operations.models.build import BuildRequest, build_model_repository
    from pipeline.policies.load import load_policy_set

    request = BuildRequest(
        bundle=bundle,
        repository=repository,
        target=target,
        precision=precision,
        batch=_profile(batch),
        instances=instances,
        gpus=tuple(gpu or ()),
        queue_delay_us=queue_delay_us,
        capabilities=tuple(capability or ()),
    )
    limits, progress = Limits(flip_rate=flip_rate), session_of(context).progress
    print_parity(build_model_repository(request, images, load_policy_set(policies), limits, progress))
    _print_next_steps(bundle, repository, target)


def _print_next_steps(bundle: Path, repository: Path, target: Target) -> None:
    from pipeline.cli.console import output

    engine = repository.absolute() / "clip_image/bundle"
    if target == "tensorrt-rtx":
        output().print(f"`{repository}`: for TensorRT for RTX only; Triton's TensorRT backend cannot open these plans")
    else:
        output().print(f"`{repository}`: serve it with tritonserver --model-repository={repository}")
    if target == "tensorrt":
        output().print(
            "the graph was checked, the compiled plan was not; check it on the server: "
            f"watchword models parity {bundle} {engine} --triton HOST:8001 --images …"
        )
    output().print(f"workers: WATCHWORD_MODEL={engine}")


def _profile(batch: str) -> "BatchProfile":
    from pipeline.models.engines.tensorrt import BatchProfile

    try:
        smallest, typical, largest = (int(size) for size in batch.split(","))
    except ValueError as error:
        raise UsageError(f"`--batch {batch}`: three numbers are expected, for example 1,32,64") from error
    if not 1 <= smallest <= typical <= largest:
        raise UsageError(f"`--batch {batch}`: the sizes must be at least 1 and must not decrease")
    return BatchProfile(smallest, typical, largest)
