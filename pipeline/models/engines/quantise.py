"""
Convolutional towers in int8, with fixed scales.

If a scale were computed from each batch, the embedding of an image, and so its verdict, would depend on the other
images in the batch. For the same reason, no operator between two quantisations may compute in float32: its results
differ in the last bit between batch sizes, rounding turns that into a different integer, and embeddings were seen to
change by 8e-4. So the whole body of a tower computes in integers.
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
# A scale that covers the largest value is too coarse for all others: on 513 validation images of the bundled model the
# mean cosine to float32 was 0.9983 with it, and 0.9995 with a scale that covers this share of the values.
KEPT_PERCENT = 99.99
# Smaller constants take no space and would lose the most precision.
MINIMUM_WEIGHTS = 4096
# Operators that ONNX Runtime computes in integers.
IN_INTEGERS = ("Conv", "Add", "Mul", "Relu", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool")


def quantise_convolutions(source: Path, target: Path, images: NDArray[np.uint8]) -> None:
    """
    Write `source` with int8 weights, a scale for each channel, and uint8 activations whose scales come from `images`.

    `images`: uint8 [N, H, W, 3], a sample of the expected images. Use a few hundred, because all values of every tensor
    are in memory while the scales are computed.
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
    """Write `source` with int8 weights, a scale for each row or column; it still computes in float32."""
    model = onnx.load(source)
    graph = model.graph
    axes = {name: axis for node in graph.node for name, axis in _weight_axes(node)}
    for tensor in [each for each in graph.initializer if each.name in axes]:
        values = numpy_helper.to_array(tensor)
        if values.ndim != 2 or values.size < MINIMUM_WEIGHTS or values.dtype != np.float32:  # noqa: PLR2004 -- a matrix
            continue
        graph.initializer.remove(tensor)
        _replace(graph, tensor.name, values, axes[tensor.name])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _pool_by_name(graph: onnx.GraphProto) -> None:
    """Replace a mean over height and width by the equal pooling, which has an integer kernel."""
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
    """Yields the sample in batches of one size, as histograms need them, without the remainder."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        size = min(BATCH, len(images))
        whole = len(images) - len(images) % size
        self._batches: Iterator[NDArray[np.uint8]] = (images[i : i + size] for i in range(0, whole, size))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _weight_axes(node: onnx.NodeProto) -> Sequence[tuple[str, int]]:
    """Return the inputs of a node that are matrices of weights, each with the axis along which scales differ."""
    if node.op_type == "Gather":
        return [(node.input[0], 0)]
    if node.op_type == "MatMul":
        return [(node.input[1], 1)]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return [(node.input[1], 0 if transposed else 1)]
    return []


def _replace(graph: onnx.GraphProto, name: str, values: NDArray[np.float32], axis: int) -> None:
    """Replace a float32 matrix by an int8 matrix and its dequantisation."""
    scales = np.maximum(np.abs(values).max(axis=1 - axis), 1e-12).astype(np.float32) / 127
    whole = np.clip(np.rint(values / np.expand_dims(scales, 1 - axis)), -127, 127).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(whole, f"{name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
    node = helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=axis)
    graph.node.insert(0, node)
