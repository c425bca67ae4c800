"""Graphs for GPU engines: in float16 where it is safe, with bytes cast before anything else."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from pipeline.models.onnx_files import save_graph

# Sums of squares pass 65,504, the largest float16, in activations that are not unusual themselves.
KEPT_IN_FLOAT32 = ("LayerNormalization", "ReduceL2", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Div", "Clip", "Expand")


def write_half(source: Path, target: Path, *, kept: tuple[str, ...] = KEPT_IN_FLOAT32) -> list[Path]:
    """
    Write `source` in float16 with float32 inputs and outputs; returns the files written.

    `kept` names the operators that stay in float32: norms, by whose sums float16 overflows.
    """
    model = onnx.load(source)
    own = {node.name for node in model.graph.node}
    convert: Any = convert_float_to_float16
    half = convert(model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *kept])
    _put_casts_right(half, own)
    return save_graph(half, target)


def _put_casts_right(model: onnx.ModelProto, own: set[str]) -> None:
    """
    Mend what the converter leaves; `own` names the nodes that were there before it.

    A cast for each of two users of one tensor; casts after what they feed; and between two operators that both stay in
    float32 a cast to float16 and back, which rounds.
    """
    made_by = {node.output[0]: node for node in reversed(model.graph.node)}
    nodes = [node for node in model.graph.node if made_by[node.output[0]] is node]
    for node in nodes:
        if not _casts_to(node, TensorProto.FLOAT):
            continue
        before = made_by.get(node.input[0])
        if before is not None and _casts_to(before, TensorProto.FLOAT16) and before.name not in own:
            node.input[0] = before.input[0]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    mended: Any = OnnxModel(model)
    mended.prune_graph()
    mended.topological_sort()


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == kind)


def write_cast_first(source: Path, target: Path) -> list[Path]:
    """Write `source` with its bytes cast to float32 before anything else: TensorRT does nothing else with uint8."""
    model = onnx.load(source)
    graph = model.graph
    for given in graph.input:
        if given.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        cast = f"{given.name}_float"
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == given.name:
                    node.input[place] = cast
        graph.node.insert(0, helper.make_node("Cast", [given.name], [cast], to=TensorProto.FLOAT))
    # What was noted of the types between is no longer so.
    del graph.value_info[:]
    return save_graph(model, target)
