"""A tower of PyTorch to an ONNX file, whatever model it is of."""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 18
LARGEST_BATCH = 4096
# Protocol buffers end at 2 GiB; weights of more go to a file beside the graph.
LARGEST_FILE_BYTES = 1900 << 20


def export_tower(graph: nn.Module, example: Tensor, given: str, made: str, path: Path) -> list[Path]:
    """
    Write `graph` to `path` with a dynamic first axis; returns the files written.

    `example`: an input of at least two rows. `given` and `made` name input and output; the exporter fails when an
    inner node has the output's name already.
    """
    program = torch.onnx.export(
        graph.eval(),
        (example,),
        input_names=[given],
        output_names=[made],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    strip_notes(model)
    return save_graph(model, path)


def save_graph(model: onnx.ModelProto, path: Path) -> list[Path]:
    """Check a graph and write it, its weights beside it when they are too many for one file; returns the files."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE_BYTES:
        weights = path.with_suffix(".weights")
        onnx.save(model, path, save_as_external_data=True, location=weights.name)
        onnx.checker.check_model(path)
        return [path, weights]
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return [path]


def strip_notes(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes beside the graph: stack traces with the paths of the machine it ran on."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
