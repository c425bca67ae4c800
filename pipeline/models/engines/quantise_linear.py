"""
Transformers in int8, with fixed scales of their activations.

Each product with a matrix of weights becomes ONNX Runtime's `MatMulIntegerToFloat`. Its dynamic quantisation uses the
same operator. Here the scale is constant, so that an image's embedding does not depend on the other images in its
batch. Everything else stays in float32 and is computed row by row, independent of the batch.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from pipeline.models.onnx_files import save_graph

CONTRIB = "com.microsoft"
BATCH = 4
# Smaller products take no time and would lose the most precision.
MINIMUM_WEIGHTS = 4096
# Share of an activation's values that its scale covers; the rest is clipped.
COVERED = 0.9999
SAMPLED = 50_000


@dataclass(frozen=True, slots=True)
class _Product:
    """A `MatMul` with constant weights, and the `Add` of its bias if there is one."""

    matmul: onnx.NodeProto
    add: onnx.NodeProto | None
    weights: NDArray[np.float32]
    bias: NDArray[np.float32] | None

    @property
    def input(self) -> str:
        return str(self.matmul.input[0])

    @property
    def output(self) -> str:
        return str((self.add or self.matmul).output[0])


def count_products(source: Path) -> int:
    """Return the number of products with weights: many in a transformer, few in a convolutional tower."""
    return len(_products(onnx.load(source).graph))


def quantise_products(source: Path, target: Path, images: NDArray[np.uint8]) -> list[Path]:
    """
    Write `source` with int8 products: a scale for every column of weights, and one for every activation.

    `images`: uint8 [N, H, W, 3], a sample of the images to expect. Returns the files written.
    """
    model = onnx.load(source)
    graph = model.graph
    products = _products(graph)
    ranges = _ranges(model, sorted({product.input for product in products}), images)
    for name, (low, high) in ranges.items():
        _quantise_activation(graph, name, low, high)
    nodes = _with_integer_products(graph, products)
    del graph.node[:]
    graph.node.extend(_in_order(nodes, graph))
    _drop_unused(graph)
    del graph.value_info[:]
    model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return save_graph(model, target)


def _with_integer_products(graph: onnx.GraphProto, products: Iterable[_Product]) -> list[onnx.NodeProto]:
    replaced = {product.output: _integer_product(graph, product) for product in products}
    gone = {id(node) for product in products for node in (product.matmul, product.add) if node is not None}
    nodes = []
    for node in graph.node:
        if id(node) not in gone:
            nodes.append(node)
        elif node.output[0] in replaced:
            nodes.append(replaced[node.output[0]])
    return nodes


def _products(graph: onnx.GraphProto) -> list[_Product]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    users = Counter(name for node in graph.node for name in node.input)
    adds = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
    found = []
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        if weights.ndim != 2 or weights.size < MINIMUM_WEIGHTS or weights.dtype != np.float32:  # noqa: PLR2004 -- a matrix
            continue
        add = adds.get(node.output[0]) if users[node.output[0]] == 1 else None
        other = None if add is None else next(name for name in add.input if name != node.output[0])
        bias = numpy_helper.to_array(constants[other]) if other in constants else None
        if bias is None or bias.shape != weights.shape[1:]:
            add = bias = None
        found.append(_Product(node, add, weights, bias))
    return found


def _ranges(model: onnx.ModelProto, names: list[str], images: NDArray[np.uint8]) -> dict[str, tuple[float, float]]:
    """Return the range that covers nearly all values of each activation, over the sample."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    ends: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for start in range(0, len(images), BATCH):
        for name, values in zip(names, session.run(names, {"images": images[start : start + BATCH]}), strict=True):
            flat = values.ravel()
            part = flat[:: max(1, len(flat) // SAMPLED)]
            ends[name].append(np.quantile(part, [1 - COVERED, COVERED]))
    return {name: (float(np.min(found)), float(np.max(found))) for name, found in ends.items()}


def _quantise_activation(graph: onnx.GraphProto, name: str, low: float, high: float) -> None:
    low, high = min(low, 0.0), max(high, 1e-6)
    scale = np.float32((high - low) / 255)
    zero = np.uint8(np.clip(round(-low / scale), 0, 255))
    graph.initializer.append(numpy_helper.from_array(np.array(scale, dtype=np.float32), f"{name}_scale"))
    graph.initializer.append(numpy_helper.from_array(np.array(zero, dtype=np.uint8), f"{name}_zero"))
    graph.node.append(helper.make_node("QuantizeLinear", [name, f"{name}_scale", f"{name}_zero"], [f"{name}_uint8"]))


def _integer_product(graph: onnx.GraphProto, product: _Product) -> onnx.NodeProto:
    name = product.matmul.input[1]
    scales = np.maximum(np.abs(product.weights).max(axis=0), 1e-12).astype(np.float32) / 127
    whole = np.clip(np.rint(product.weights / scales), -127, 127).astype(np.int8)
    if f"{name}_int8" not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(whole, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(len(scales), dtype=np.int8), f"{name}_zeros"))
    given = product.input
    inputs = [f"{given}_uint8", f"{name}_int8", f"{given}_scale", f"{name}_scales", f"{given}_zero", f"{name}_zeros"]
    if product.add is not None:
        inputs.append(next(each for each in product.add.input if each != product.matmul.output[0]))
    return helper.make_node("MatMulIntegerToFloat", inputs, [product.output], domain=CONTRIB)


def _in_order(nodes: Iterable[onnx.NodeProto], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes in topological order."""
    ready = {tensor.name for tensor in graph.initializer} | {given.name for given in graph.input} | {""}
    waiting, ordered = list(nodes), list[onnx.NodeProto]()
    while waiting:
        blocked = []
        for node in waiting:
            if ready.issuperset(node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                blocked.append(node)
        assert len(blocked) < len(waiting), "a graph has no cycles"
        waiting = blocked
    return ordered


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
