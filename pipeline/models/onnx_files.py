"""ONNX graphs as files. Needs no torch: engines are built where torch is not installed."""

from pathlib import Path

import onnx

# Protocol buffers hold at most 2 GiB; larger weights go to a file next to the graph.
LARGEST_FILE_BYTES = 1900 << 20


def save_graph(model: onnx.ModelProto, path: Path) -> list[Path]:
    """Check and write a graph; weights too large for one file go next to it. Return the files written."""
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE_BYTES:
        weights = path.with_suffix(".weights")
        onnx.save(model, path, save_as_external_data=True, location=weights.name)
        onnx.checker.check_model(path)
        return [path, weights]
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return [path]


def strip_notes(model: onnx.ModelProto) -> None:
    """Remove metadata that the exporter left in the graph: stack traces with paths of the exporting machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
