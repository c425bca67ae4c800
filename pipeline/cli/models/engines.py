"""The commands of `watchword models` that make engines of a bundle and compare them with it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# As in pipeline.models, which is imported only when it is run: it brings torch and onnx.
Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]

app = typer.Typer()


@app.command()
def parity(
    reference: Annotated[Path, typer.Argument(help="Model bundle that is right by definition.")],
    candidate: Annotated[Path, typer.Argument(help="Another engine of the same model.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders to judge with both.")],
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
    cosine: Annotated[float, typer.Option(help="Least cosine of the lowest hundredth of embeddings.")] = 0.97,
    triton: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Triton (gRPC) that serves the candidate: it is asked, then.")
    ] = None,
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Compare two engines of one model by their embeddings and, above all, by the verdicts that flip.

    Exit codes: 0 the candidate may be used, 1 it is refused, 2 error.

    Example: `watchword models parity pipeline/bundles/caltech-small out/int8 --images samples/images`
    """
    from pipeline.cli.models.parity import run_parity
    from pipeline.models.engines.parity import Limits

    limits = Limits(flip_rate=flip_rate, cosine=cosine)
    raise typer.Exit(run_parity(reference, candidate, images, policies, limits, triton=triton, output_format=format))


@app.command()
def quantise(
    source: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    bundle: Annotated[Path, typer.Option(help="Where the int8 bundle goes.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders: a sample of the stream.")],
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
) -> None:
    """
    Make an int8 engine of a bundle, its scales fixed from half of the images and its verdicts checked on the others.

    An engine that judges differently is refused, and nothing is left of it. Needs the `engines` extra.

    Exit codes: 0 written, 2 refused or an error.

    Example: `watchword models quantise pipeline/bundles/caltech-small --bundle out/int8 --images samples/images`
    """
    from pipeline.cli.models.parity import run_quantise
    from pipeline.models.engines.parity import Limits

    run_quantise(source, bundle, images, policies, Limits(flip_rate=flip_rate))


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    target: Annotated[Target, typer.Option(help="What computes the image tower behind Triton.")],
    repository: Annotated[Path, typer.Option(help="Where the model repository goes: a new folder.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders: a sample of the stream, to judge with both.")],
    precision: Annotated[
        Precision | None, typer.Option(help="[default: fp16 for tensorrt and tensorrt-rtx, else fp32]")
    ] = None,
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    batch: Annotated[
        str,
        typer.Option(
            help="Smallest, typical and largest batch; the largest not under the workers' WATCHWORD_BATCH_SIZE."
        ),
    ] = "1,32,64",
    instances: Annotated[int | None, typer.Option(min=1, help="Copies, on each GPU.  [default: 2, on a GPU 1]")] = None,
    gpu: Annotated[list[int] | None, typer.Option(help="GPUs to run on, for onnx and tensorrt.")] = None,
    queue_delay_us: Annotated[int, typer.Option(min=0, help="How long Triton waits to join requests, in µs.")] = 500,
    capability: Annotated[
        list[str] | None, typer.Option(help="Compute capabilities to build for, as SM89.  [default: the builder's]")
    ] = None,
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
) -> None:
    """
    Write a Triton model repository whose engine judges as the bundle does.

    Half of the images fix what an int8 engine needs, the other half is judged by bundle and engine; one that judges
    differently is refused. Policy texts are always encoded in float32. Workers of the repository get
    WATCHWORD_MODEL=REPOSITORY/clip_image/bundle. Needs the extra `engines`, and for tensorrt-rtx that of its name.

    Exit codes: 0 written, 2 refused or an error.

    Examples: `watchword models build pipeline/bundles/caltech-small --target cpu --precision int8 --repository out/cpu
    --images samples` ·
    `watchword models build out/clip-b32 --target tensorrt --gpu 0 --gpu 1 --repository out/gpu --images uploads
    --policies clip-b32-policies`
    """
    from pipeline.cli.models.build import run_build

    run_build(
        bundle,
        repository,
        images,
        policies,
        target=target,
        precision=precision,
        batch=batch,
        instances=instances,
        gpus=tuple(gpu or ()),
        queue_delay_us=queue_delay_us,
        capabilities=tuple(capability or ()),
        flip_rate=flip_rate,
    )
