"""
Compact storage of a bundle's towers, which still compute in float32.

Weights of the image tower are stored as float16: its rounding is far below a photograph's noise. Weights of the text
tower are stored as int8 with a scale for each row or column, since most of that tower is its vocabulary.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.digests import file_digest
from pipeline.encode.bundle import MANIFEST, Manifest
from pipeline.models.engines.quantise import MINIMUM_WEIGHTS, quantise_weights
from pipeline.models.onnx_files import save_graph


def compact_bundle(folder: Path) -> Manifest:
    """Store the towers of the bundle in `folder` compactly; write its new manifest and return it."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    store_half(folder / manifest.image_tower, folder / manifest.image_tower)
    quantise_weights(folder / manifest.text_tower, folder / manifest.text_tower)
    smaller = manifest.model_copy(update={"files": {name: file_digest(folder / name) for name in manifest.files}})
    smaller.write(folder)
    return smaller


def store_half(source: Path, target: Path) -> None:
    """Write `source` with its large constants in float16 and a cast to float32 where each is used."""
    model = onnx.load(source)
    graph = model.graph
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < MINIMUM_WEIGHTS:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half"))
        cast = helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=TensorProto.FLOAT)
        graph.node.insert(0, cast)
    save_graph(model, target)
