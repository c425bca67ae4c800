"""
ViT-B/32 in one thread by other runtimes and precisions, against eager torch: `python -m tests.bench.runtimes`.

Needs `openvino` and `nncf`, which nothing else here does: install them into a test environment of their own.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import open_session
from pipeline.models.cosines import cosines
from pipeline.models.engines.parity import BATCH_SIZES
from pipeline.models.engines.quantise_linear import quantise_products
from pipeline.models.importing.bundle import import_bundle
from pipeline.models.importing.source import load_source
from tests.bench.engines import TRANSFORMER_BATCH, decoded, say
from tests.bench.timing import paired
from tests.support.sources import CLIP_B32, write_clip
from tests.support.stream import REPOSITORY

ROUNDS = 7
IMAGES = 64

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def main() -> None:
    files = sorted((REPOSITORY / "samples/images").rglob("*.jpg"))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        import_bundle(
            load_source(str(write_clip(folder / "source", CLIP_B32))), folder / "bundle", files[:4], name="b32"
        )
        bundle = Bundle.load(folder / "bundle")
        pixels = decoded(bundle, files, 2 * IMAGES)
        seen, scales = pixels[:IMAGES], pixels[IMAGES:]
        runs = {**_onnx_runtime(bundle, folder, scales), **_openvino(bundle, folder, scales)}
        model = AutoModel.from_pretrained(folder / "source").eval()
        values = torch.randn(TRANSFORMER_BATCH, 3, bundle.pixels.size, bundle.pixels.size)
        eager = partial(_eager, model, values)
        reference = runs["ONNX Runtime, float32"](seen)
        say(f"torch, bfloat16 ÷ eager torch: {paired(eager, partial(_eager, model, values, half=True), ROUNDS)[0]:.2f}")
        for name, run in runs.items():
            by_size = [_in_batches(run, seen, size) for size in BATCH_SIZES]
            difference = max(float(np.abs(embeds - by_size[0]).max()) for embeds in by_size)
            ratio, _ = paired(eager, partial(run, seen[:TRANSFORMER_BATCH]), ROUNDS)
            least = float(cosines(by_size[1], reference).min())
            say(f"{name} ÷ eager torch: {ratio:.2f}; least cosine {least:.4f}; batches differ by {difference:.1e}")


def _eager(model: Any, values: torch.Tensor, *, half: bool = False) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        model.get_image_features(pixel_values=values)


def _in_batches(run: Run, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    return np.concatenate([run(pixels[start : start + size]) for start in range(0, len(pixels), size)])


def _onnx_runtime(bundle: Bundle, folder: Path, scales: NDArray[np.uint8]) -> dict[str, Run]:
    quantise_products(bundle.image_tower, folder / "fixed.onnx", scales)
    graph = onnx.load(bundle.image_tower)
    del graph.graph.value_info[:]  # says shapes that its own inference contradicts
    onnx.save(graph, folder / "clean.onnx")
    quantize_dynamic(folder / "clean.onnx", folder / "dynamic.onnx", weight_type=QuantType.QInt8, per_channel=True)
    files = {
        "float32": bundle.image_tower,
        "int8, fixed scales": folder / "fixed.onnx",
        "int8, dynamic scales": folder / "dynamic.onnx",
    }
    return {f"ONNX Runtime, {name}": _session(file) for name, file in files.items()}


def _session(file: Path) -> Run:
    session = open_session(file, 1)
    return lambda images: np.asarray(session.run(None, {"images": images})[0])


def _openvino(bundle: Bundle, folder: Path, scales: NDArray[np.uint8]) -> dict[str, Run]:
    openvino, nncf = import_module("openvino"), import_module("nncf")
    core = openvino.Core()

    def compiled(model: Any, precision: str = "f32") -> Run:
        limits = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        ready = core.compile_model(model, "CPU", limits)
        return lambda images: next(iter(ready({"images": images}).values()))

    tower = core.read_model(bundle.image_tower)
    reduced = nncf.quantize(
        tower, nncf.Dataset([{"images": image[None]} for image in scales]), model_type=nncf.ModelType.TRANSFORMER
    )
    return {
        "OpenVINO, float32": compiled(tower),
        "OpenVINO, bfloat16": compiled(tower, "bf16"),
        "OpenVINO, what `quantise` writes": compiled(core.read_model(folder / "fixed.onnx")),
        "OpenVINO, int8 by NNCF": compiled(reduced),
    }


if __name__ == "__main__":
    main()
