"""
TensorRT engines of ONNX graphs.

TensorRT and TensorRT for RTX have one Python API under two names, so one function serves both. The second builds
engines on a machine without a GPU.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UsageError

Flavour = Literal["tensorrt", "tensorrt-rtx"]

_MODULES: dict[Flavour, tuple[str, str]] = {
    "tensorrt": ("tensorrt", "run this in NVIDIA's Triton image, or pip install tensorrt on a GPU machine"),
    "tensorrt-rtx": ("tensorrt_rtx_bindings", "pip install '.[tensorrt-rtx]'"),
}

WORKSPACE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class BatchProfile:
    """The batch sizes that an engine takes, and the typical one that it is tuned for."""

    smallest: int = 1
    typical: int = 32
    largest: int = 64


@dataclass(frozen=True, slots=True)
class Binding:
    """A tensor of an engine; `shape` has -1 for the batch. `sizes` are the profile's shapes, for inputs alone."""

    name: str
    mode: Literal["input", "output"]
    dtype: str
    shape: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """A built engine: its bytes, its tensors as the builder knows them, and the builder's name and version."""

    plan: bytes
    bindings: tuple[Binding, ...]
    builder: str


def build_engine(graph: Path, flavour: Flavour, profile: BatchProfile, *, capabilities: tuple[str, ...] = ()) -> Engine:
    """
    Build an engine of an ONNX graph whose first axis is the batch, in the graph's own types.

    `capabilities`: compute capabilities to build for, for example `SM89`; with none, the builder chooses. Raises
    `UsageError` when the library is missing or refuses the graph.
    """
    trt = load_library(flavour)
    logger = error_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    # By path, so that the parser finds weights next to the graph.
    if not parser.parse_from_file(str(graph)):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise UsageError(f"`{graph}`: {flavour} cannot read it: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    shapes = _shapes(builder, network, profile)
    config.add_optimization_profile(shapes)
    _aim(trt, config, capabilities)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UsageError(f"`{graph}`: {flavour} built no engine: {logger.last_error}")
    return Engine(bytes(plan), _network_bindings(network, shapes), f"{flavour} {trt.__version__}")


def load_library(flavour: Flavour) -> Any:
    """Return the Python module of a flavour. Raises `UsageError` when it is not installed."""
    name, remedy = _MODULES[flavour]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"`{name}` is missing ({error}); {remedy}") from error


def error_logger(trt: Any) -> Any:
    """Return a logger of the library that keeps the last error."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error: the library returns None on failure and logs the reason."""

        def __init__(self) -> None:
            super().__init__()
            self.last_error = "it did not say why"

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.last_error = message

    return Logger()


def _shapes(builder: Any, network: Any, batch: BatchProfile) -> Any:
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        rest = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, *((size, *rest) for size in (batch.smallest, batch.typical, batch.largest)))
    return profile


def _aim(trt: Any, config: Any, capabilities: tuple[str, ...]) -> None:
    if not capabilities:
        return
    known = trt.ComputeCapability.__members__
    if unknown := [name for name in capabilities if name not in known]:
        raise UsageError(f"unknown compute capability {', '.join(unknown)}; known are {', '.join(known)}")
    config.num_compute_capabilities = len(capabilities)
    for i, name in enumerate(capabilities):
        config.set_compute_capability(known[name], i)


def _network_bindings(network: Any, shapes: Any) -> tuple[Binding, ...]:
    given = [network.get_input(i) for i in range(network.num_inputs)]
    made = [network.get_output(i) for i in range(network.num_outputs)]
    inputs = [
        Binding(each.name, "input", each.dtype.name, tuple(each.shape), tuple(map(tuple, shapes.get_shape(each.name))))
        for each in given
    ]
    return (*inputs, *(Binding(each.name, "output", each.dtype.name, tuple(each.shape), ()) for each in made))
