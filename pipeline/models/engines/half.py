"""Graphs for GPU engines: float16 where it is safe, and bytes cast to float32 first."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from pipeline.models.onnx_files import save_graph

# Sums of squares exceed 65,504, the largest float16, even for ordinary activations.
KEPT_IN_FLOAT32 = ("LayerNormalization", "ReduceL2", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Div", "Clip", "Expand")


def write_half(source: Path, target: Path, *, kept: tuple[str, ...] = KEPT_IN_FLOAT32) -> list[Path]:
    """
    Write `source` in float16 with float32 inputs and outputs; return the files written.

    `kept` names the operators that stay in float32: norms, whose sums overflow float16.
    """
    model = onnx.load(source)
    own = {node.name for node in model.graph.node}
    convert: Any = convert_float_to_float16
    half = convert(model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *kept])
    _repair_casts(half, own)
    return save_graph(half, target)


def _repair_casts(model: onnx.ModelProto, own: set[str]) -> None:
    """
    Repair the converter's casts; `own` names the nodes that the graph had before.

    The converter casts one tensor once for each of its users, places casts after the nodes that use them, and casts to
    float16 and back, which rounds, between two operators that both stay in float32.
    """
    producer = {node.output[0]: node for node in reversed(model.graph.node)}
    nodes = [node for node in model.graph.node if producer[node.output[0]] is node]
    for node in nodes:
        if not _casts_to(node, TensorProto.FLOAT):
            continue
        before = producer.get(node.input[0])
        if before is not None and _casts_to(before, TensorProto.FLOAT16) and before.name not in own:
            node.input[0] = before.input[0]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    repaired: Any = OnnxModel(model)
    repaired.prune_graph()
    repaired.topological_sort()


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == kind)


def write_cast_first(source: Path, target: Path) -> list[Path]:
    """Write `source` with its bytes cast to float32 first: TensorRT supports no other operator on uint8."""
    model = onnx.load(source)
    graph = model.graph
    for given in graph.input:
        if given.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        cast = f"{given.name}_float"
        for node in graph.node:
            for i, name in enumerate(node.input):
                if name == given.name:
                    node.input[i] = cast
        graph.node.insert(0, helper.make_node("Cast", [given.name], [cast], to=TensorProto.FLOAT))
    # The noted types of the tensors in between are wrong now.
    del graph.value_info[:]
    return save_graph(model, target)
