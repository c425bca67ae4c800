"""Engines against what they are engines of, and the training step; run alone as `python -m tests.bench.engines`."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModel

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder, open_session
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode
from pipeline.models.captions import BUNDLED_TABLE, Captions
from pipeline.models.dataset import load_split
from pipeline.models.engines.quantise import quantise_convolutions
from pipeline.models.engines.quantise_linear import quantise_products
from pipeline.models.engines.repository import (
    BUNDLE_FOLDER,
    PYTHON_MODEL,
    Serving,
    copy_bundle,
    image_config,
    python_parameters,
    text_config,
    write_model,
)
from pipeline.models.engines.tensorrt import BatchProfile
from pipeline.models.importing.bundle import import_bundle
from pipeline.models.importing.source import load_source
from pipeline.models.spread import spread
from pipeline.models.training.bundled import BUNDLED
from pipeline.models.training.image_batches import CANVAS, ImageBatches
from pipeline.models.training.objective import LockedTextObjective
from pipeline.models.training.text_bank import TextBank
from pipeline.models.training.train import Rank
from pipeline.models.training.vision import ImageTower
from pipeline.settings import BUNDLED_MODEL
from tests.bench.timing import paired
from tests.support.serving import served
from tests.support.sources import CLIP_B32, write_clip
from tests.support.stream import REPOSITORY

BATCH = 32
MOST_OPERATORS = 8
TRANSFORMER_BATCH = 8
# Kernels that multiply matrices or convolve, as PyTorch names them.
KERNELS = ("mkldnn_convolution", "convolution_backward", "addmm", "mm", "bmm", "baddbmm", "mkldnn_linear")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    files = sorted((REPOSITORY / "samples/images").rglob("*.jpg"))
    bench_int8(Bundle.load(BUNDLED_MODEL), files)
    bench_transformer(files)
    bench_training_step()


def bench_int8(bundle: Bundle, files: list[Path]) -> None:
    """The int8 image tower against the shipped one, one thread."""
    pixels = decoded(bundle, files, 256)
    with tempfile.TemporaryDirectory() as folder:
        quantise_convolutions(bundle.image_tower, Path(folder) / "int8.onnx", pixels)
        shipped, int8 = open_session(bundle.image_tower, 1), open_session(Path(folder) / "int8.onnx", 1)
        given = {"images": pixels[:BATCH]}
        ratio, seconds = paired(lambda: shipped.run(None, given), lambda: int8.run(None, given))
    say(f"int8 ÷ float32 images/s, batch {BATCH}: {ratio:.2f} (bar 2; float32 {BATCH / seconds:.0f} images/s a thread)")


def bench_transformer(files: list[Path]) -> None:
    """ViT-B/32 with random weights, one thread: int8 against eager torch, and behind Triton against in process."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = load_source(str(write_clip(folder / "source", CLIP_B32)))
        import_bundle(source, folder / "bundle", files[:4], name="vit-b32")
        bundle = Bundle.load(folder / "bundle")
        pixels = decoded(bundle, files, 32)
        quantise_products(bundle.image_tower, folder / "int8.onnx", pixels[TRANSFORMER_BATCH:])
        int8, batch = open_session(folder / "int8.onnx", 1), pixels[:TRANSFORMER_BATCH]
        torch.set_num_threads(1)
        model = AutoModel.from_pretrained(folder / "source").eval()
        values = torch.randn(TRANSFORMER_BATCH, 3, bundle.pixels.size, bundle.pixels.size)
        with torch.inference_mode():
            ratio, seconds = paired(
                partial(model.get_image_features, pixel_values=values), lambda: int8.run(None, {"images": batch}), 9
            )
        say(
            f"ViT-B/32 int8 ÷ eager torch images/s, batch {TRANSFORMER_BATCH}: {ratio:.2f} "
            f"(bar 2.5; torch {TRANSFORMER_BATCH / seconds:.1f} images/s a thread)"
        )
        bench_triton(bundle, folder, batch)


def bench_triton(bundle: Bundle, folder: Path, batch: NDArray[np.uint8]) -> None:
    """The same engine, one thread: in process, and behind Triton over shared memory."""
    repository, serving = folder / "models", Serving(BatchProfile(1, len(batch), len(batch)), instances=1)
    image = python_parameters("image_tower", BUNDLE_FOLDER)
    text = python_parameters("text_tower", f"../clip_image/{BUNDLE_FOLDER}")
    write_model(repository, image_config(bundle, "python", serving, image), PYTHON_MODEL)
    write_model(repository, text_config(bundle, "python", text), PYTHON_MODEL)
    copy_bundle(bundle, repository)
    with served(repository, bundle, folder / "state", batch_size=len(batch), shared_memory="on") as behind:
        local = LocalEncoder(bundle, threads=1)
        behind.encode_images(batch)
        ratio, seconds = paired(lambda: local.encode_images(batch), lambda: behind.encode_images(batch), 15)
    say(
        f"ViT-B/32 behind Triton over shared memory ÷ in process, images/s, batch {len(batch)}: {ratio:.2f} "
        f"(bar 0.95; in process {len(batch) / seconds:.1f} images/s a thread)"
    )


def bench_training_step() -> None:
    """The share of the bundled model's steps that is in matrix and convolution kernels, one thread, at every size."""
    torch.set_num_threads(1)
    captions, recipe = Captions.load(BUNDLED_TABLE), BUNDLED["sentences"].image
    rng = np.random.default_rng(1)

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = rng.standard_normal((len(texts), recipe.dimension)).astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    images = load_split(REPOSITORY / "samples", "val", PixelSpec(CANVAS, "squash"), captions.categories)
    batches = ImageBatches(images, recipe, Rank(0, 1, 1))
    tower = ImageTower(recipe.dimension, recipe.dropout)
    objective = LockedTextObjective(tower, TextBank.build(captions, embed), recipe, 1)
    objective.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(objective.parameters())

    def step(progress: float) -> None:
        optimiser.zero_grad(set_to_none=True)
        objective.learn(*batches.draw(progress))
        optimiser.step()

    for place, size in enumerate(recipe.resolutions):
        inside = _share_in_kernels(partial(step, (place + 0.5) / len(recipe.resolutions)))
        say(
            f"training step, {recipe.schedule.batch} images at {size} px: {inside:.0%} of the time in matrix and "
            "convolution kernels (bar 60 %)"
        )


def _share_in_kernels(step: Callable[[], None]) -> float:
    for _ in range(2):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(3):
            step()
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    for event in sorted(events, key=lambda each: -each.self_cpu_time_total)[:MOST_OPERATORS]:
        say(f"  {event.self_cpu_time_total / total:6.1%} {event.key}")
    inside = sum(event.self_cpu_time_total for event in events if event.key.removeprefix("aten::") in KERNELS)
    return float(inside / total)


def decoded(bundle: Bundle, files: list[Path], count: int) -> NDArray[np.uint8]:
    """Return some of the files as the bundle's image tower takes them, uint8 [N, H, W, 3]."""
    return np.stack([decode(file.read_bytes(), bundle.pixels, ImageLimits()).pixels for file in spread(files, count)])


if __name__ == "__main__":
    main()
