"""
Triton's model configuration as values, and as protobuf text.

Names come from Triton's `model_config.proto`; only the parts in use are here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


class Symbol(str):
    """A name of an enumeration, written without quotes."""

    __slots__ = ()


CPU, GPU = Symbol("KIND_CPU"), Symbol("KIND_GPU")
UINT8, INT64, FP32 = Symbol("TYPE_UINT8"), Symbol("TYPE_INT64"), Symbol("TYPE_FP32")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output; `dims` without the batch, -1 for any length."""

    name: str
    data_type: Symbol
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DynamicBatching:
    """Settings of dynamic batching."""

    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 500


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Copies of the model: `count` on the CPU, or on each of `gpus`."""

    count: int
    kind: Symbol = CPU
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmUpInput:
    """One input of a warm-up request."""

    data_type: Symbol
    dims: tuple[int, ...]
    zero_data: bool | None = None
    random_data: bool | None = None


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A request that Triton runs before the model counts as ready."""

    name: str
    batch_size: int
    inputs: dict[str, WarmUpInput]


@dataclass(frozen=True, slots=True)
class ResponseCache:
    """Off: an answer costs less than its look-up, and a verdict must come from the model that it names."""

    enable: bool = False


@dataclass(frozen=True, slots=True)
class Latest:
    """Number of the latest versions to serve."""

    num_versions: int = 1


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """The versions to serve."""

    latest: Latest = field(default_factory=Latest)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting for the backend or the client."""

    string_value: str


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model's `config.pbtxt`, with a `backend` or a `platform`, which is a backend with its kind of file."""

    name: str
    backend: str | None
    platform: str | None
    max_batch_size: int
    input: tuple[Tensor, ...]
    output: tuple[Tensor, ...]
    dynamic_batching: DynamicBatching
    instance_group: tuple[InstanceGroup, ...]
    model_warmup: tuple[WarmUp, ...]
    parameters: dict[str, Parameter]
    response_cache: ResponseCache = field(default_factory=ResponseCache)
    version_policy: VersionPolicy = field(default_factory=VersionPolicy)

    def text(self) -> str:
        """Return the configuration as protobuf text."""
        return "\n".join(_message(self)) + "\n"


def _message(value: Any) -> Iterator[str]:
    for each in fields(value):
        found = getattr(value, each.name)
        if found not in (None, (), {}):
            yield from _field(each.name, found)


def _field(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _block(name, [f"key: {_scalar(key)}", *_field("value", each)])
    elif isinstance(value, tuple) and all(hasattr(each, "__dataclass_fields__") for each in value):
        for each in value:
            yield from _block(name, _message(each))
    elif isinstance(value, tuple):
        yield f"{name}: [ {', '.join(_scalar(each) for each in value)} ]"
    elif hasattr(value, "__dataclass_fields__"):
        yield from _block(name, _message(value))
    else:
        yield f"{name}: {_scalar(value)}"


def _block(name: str, lines: Any) -> Iterator[str]:
    yield f"{name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"


def _scalar(value: str | int) -> str:
    """Return a symbol as it is, and other scalars as JSON, which protobuf text accepts."""
    if isinstance(value, Symbol):
        return str(value)
    return json.dumps(value)
