"""
Towers in int8, their scales fixed beforehand.

A scale taken from the batch at hand would make an image's embedding depend on its neighbours, and a verdict must not.
Nor may anything between two quantisations compute in float32: what differs in its last bit, from one batch size to
another, is rounded to another integer, and an embedding was seen to move by 8e-4. So a tower's body is all integers.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCH = 16
# A scale that keeps the one largest value in range is too coarse for all others: of the bundled model's 513 validation
# images the mean cosine to float32 was 0.9983 so, and 0.9995 with this share of values kept.
KEPT_PERCENT = 99.99
# Smaller constants cost nothing and lose the most.
LEAST_WEIGHTS = 4096
# Operators that ONNX Runtime computes in integers.
IN_INTEGERS = ("Conv", "Add", "Mul", "Relu", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool")


def quantise_convolutions(source: Path, target: Path, images: NDArray[np.uint8]) -> None:
    """
    Write `source` with int8 weights, a scale a channel, and uint8 activations, scales fixed from `images`.

    `images`: uint8 [N, H, W, 3], as the tower takes them: a sample of what it will see. A few hundred, since every
    value of every tensor is held while the scales are found.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        del model.graph.value_info[:]
        _pool_by_name(model.graph)
        onnx.save(model, prepared)
        quantize_static(
            str(prepared),
            str(target),
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": KEPT_PERCENT},
            op_types_to_quantize=list(IN_INTEGERS),
        )


def quantise_weights(source: Path, target: Path) -> None:
    """Write `source` with its large constants in int8, a scale a row or column; it computes in float32 as before."""
    model = onnx.load(source)
    graph = model.graph
    axes = {name: axis for node in graph.node for name, axis in _weight_axes(node)}
    for tensor in [each for each in graph.initializer if each.name in axes]:
        values = numpy_helper.to_array(tensor)
        if values.ndim != 2 or values.size < LEAST_WEIGHTS or values.dtype != np.float32:  # noqa: PLR2004 -- a matrix
            continue
        graph.initializer.remove(tensor)
        _replace(graph, tensor.name, values, axes[tensor.name])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _pool_by_name(graph: onnx.GraphProto) -> None:
    """Write a mean over height and width as the pooling it is, for which there is an integer kernel."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2:  # noqa: PLR2004 -- with its axes as an input
            continue
        keeps = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
        axes = constants.get(node.input[1])
        if keeps and axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1]):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
            del node.input[1:]


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Hands the sample over in batches of one size, as histograms want them; what is left over is left out."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        size = min(BATCH, len(images))
        whole = len(images) - len(images) % size
        self._batches: Iterator[NDArray[np.uint8]] = (images[i : i + size] for i in range(0, whole, size))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _weight_axes(node: onnx.NodeProto) -> Sequence[tuple[str, int]]:
    """Return which input of a node is a matrix of weights, and along which of its axes each has a scale of its own."""
    if node.op_type == "Gather":
        return [(node.input[0], 0)]
    if node.op_type == "MatMul":
        return [(node.input[1], 1)]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return [(node.input[1], 0 if transposed else 1)]
    return []


def _replace(graph: onnx.GraphProto, name: str, values: NDArray[np.float32], axis: int) -> None:
    """Put an int8 matrix and its dequantisation where a float32 one was."""
    scales = np.maximum(np.abs(values).max(axis=1 - axis), 1e-12).astype(np.float32) / 127
    whole = np.clip(np.rint(values / np.expand_dims(scales, 1 - axis)), -127, 127).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(whole, f"{name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
    node = helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=axis)
    graph.node.insert(0, node)
