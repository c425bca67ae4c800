"""A tower of PyTorch to an ONNX file, whatever model it is of."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.models.onnx_files import save_graph, strip_notes

OPSET = 18
LARGEST_BATCH = 4096


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
