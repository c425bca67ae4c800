"""Export of a PyTorch tower to an ONNX file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.models.onnx_files import save_graph, strip_notes
from pipeline.models.quiet import quiet_libraries

OPSET = 18
LARGEST_BATCH = 4096


def export_tower(graph: nn.Module, example: Tensor, input_name: str, output_name: str, path: Path) -> list[Path]:
    """
    Write `graph` to `path` with a dynamic first axis; return the files written.

    `example`: an input of at least two rows. The exporter fails when an inner node already has the name `output_name`.
    """
    with quiet_libraries():
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=[input_name],
            output_names=[output_name],
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
