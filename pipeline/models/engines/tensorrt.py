"""
ONNX graphs to TensorRT engines.

TensorRT and TensorRT for RTX have one Python API under two names, so one function serves both: what a machine without a
GPU builds and opens with the second is what a GPU machine runs with the first.
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
    """The batch sizes an engine takes, and the one it is tuned for."""

    smallest: int = 1
    typical: int = 32
    largest: int = 64


@dataclass(frozen=True, slots=True)
class Binding:
    """A tensor of an engine; `shape` has -1 where the batch is. `sizes` are the profile's shapes, of inputs alone."""

    name: str
    mode: Literal["input", "output"]
    dtype: str
    shape: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """A built engine: its bytes, its tensors as the builder knows them, and who built it."""

    plan: bytes
    bindings: tuple[Binding, ...]
    builder: str


def build_engine(graph: Path, flavour: Flavour, profile: BatchProfile, *, capabilities: tuple[str, ...] = ()) -> Engine:
    """
    Build an engine of an ONNX graph whose first axis is the batch, in the graph's own types.

    `capabilities`: compute capabilities to build for, as `SM89`; none leaves it to the builder. Raises `UsageError`
    when the library is missing or refuses the graph.
    """
    trt = _load(flavour)
    logger = _Logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    # By its path, so that weights beside the graph are found.
    if not parser.parse_from_file(str(graph)):
        found = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise UsageError(f"`{graph}`: {flavour} cannot read it: {found}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    shapes = _shapes(builder, network, profile)
    config.add_optimization_profile(shapes)
    _aim(trt, config, capabilities)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UsageError(f"`{graph}`: {flavour} built no engine: {logger.last_error}")
    return Engine(bytes(plan), _network_bindings(network, shapes), f"{flavour} {trt.__version__}")


def open_engine(plan: bytes, flavour: Flavour) -> tuple[Binding, ...]:
    """
    Return an engine's tensors as the engine itself has them.

    Raises `UsageError` when it cannot be opened: with another version of the library, or where there is no GPU.
    """
    trt = _load(flavour)
    logger = _Logger(trt)
    opened = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if opened is None:
        raise UsageError(f"{flavour} cannot open the engine: {logger.last_error}")
    return tuple(_binding(trt, opened, opened.get_tensor_name(i)) for i in range(opened.num_io_tensors))


def _load(flavour: Flavour) -> Any:
    name, remedy = _MODULES[flavour]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"`{name}` is missing ({error}); {remedy}") from error


def _Logger(trt: Any) -> Any:  # noqa: N802 -- a class whose base is known only now
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error: the library returns nothing and logs why."""

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
    for place, name in enumerate(capabilities):
        config.set_compute_capability(known[name], place)


def _network_bindings(network: Any, shapes: Any) -> tuple[Binding, ...]:
    given = [network.get_input(i) for i in range(network.num_inputs)]
    made = [network.get_output(i) for i in range(network.num_outputs)]
    inputs = [
        Binding(each.name, "input", each.dtype.name, tuple(each.shape), tuple(map(tuple, shapes.get_shape(each.name))))
        for each in given
    ]
    return (*inputs, *(Binding(each.name, "output", each.dtype.name, tuple(each.shape), ()) for each in made))


def _binding(trt: Any, engine: Any, name: str) -> Binding:
    dtype, shape = engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name))
    if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT:
        return Binding(name, "output", dtype, shape, ())
    return Binding(name, "input", dtype, shape, tuple(map(tuple, engine.get_tensor_profile_shape(name, 0))))
