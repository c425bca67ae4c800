"""A bundle to a Triton model repository, its engine let in only when it judges as the bundle does."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import IMAGE_MODEL
from pipeline.errors import UsageError
from pipeline.models.engines.engine_bundle import Evidence, write_engine_bundle
from pipeline.models.engines.half import write_cast_first
from pipeline.models.engines.parity import Parity, compare
from pipeline.models.engines.repository import (
    BUNDLE_FOLDER,
    PYTHON_MODEL,
    Serving,
    copy_bundle,
    image_config,
    python_parameters,
    text_config,
    write_model,
)
from pipeline.models.engines.tensorrt import Engine, Flavour, build_engine
from pipeline.models.whole_folder import whole_folder

Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]

PRECISIONS: dict[Target, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "onnx": ("fp32", "fp16", "int8"),
    "tensorrt": ("fp16", "fp32"),
    "tensorrt-rtx": ("fp16", "fp32"),
}

GPU_TARGETS: tuple[Target, ...] = ("tensorrt", "tensorrt-rtx")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is built. `capabilities` are compute capabilities, for TensorRT alone."""

    target: Target
    precision: Precision
    serving: Serving
    capabilities: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` for a precision or batch that the target does not have."""
        if self.precision not in PRECISIONS[self.target]:
            known = " and ".join(PRECISIONS[self.target])
            raise UsageError(f"target `{self.target}` has {known}, not {self.precision}")
        if self.target in GPU_TARGETS and self.serving.batch.smallest != 1:
            raise UsageError(f"target `{self.target}`: the smallest batch must be 1, what an image alone comes in")


def build_repository(parent: Bundle, repository: Path, plan: Plan, evidence: Evidence, say: Say) -> Parity:
    """
    Write a model repository for `parent` to the new folder `repository`.

    Raises `UsageError`, and leaves nothing, when the engine is refused or cannot be built.
    """
    plan.check()
    if repository.exists():
        raise UsageError(f"`{repository}` is there already; name a new folder")
    with whole_folder(repository) as made, tempfile.TemporaryDirectory(dir=made.parent) as place:
        work = Path(place)
        engine, parity = _engine(parent, work, plan, evidence, say)
        _WRITERS[plan.target](engine, made, work, plan, say)
        copy_bundle(engine, made)
    return parity


def _engine(parent: Bundle, work: Path, plan: Plan, evidence: Evidence, say: Say) -> tuple[Bundle, Parity]:
    say(f"making the {plan.precision} graph and judging {len(evidence.held_out)} files with it")
    if plan.precision == "fp32":
        parity = compare(parent, parent, evidence.held_out, evidence.policy_set)
        if refusals := parity.refusals(evidence.limits):
            raise UsageError("the bundle itself is refused: " + "; ".join(refusals))
        return parent, parity
    _, parity = write_engine_bundle(parent, work / "bundle", plan.precision, evidence)
    return Bundle.load(work / "bundle"), parity


def _write_cpu(engine: Bundle, made: Path, _work: Path, plan: Plan, _say: Say) -> None:
    parameters = python_parameters("image_tower", BUNDLE_FOLDER)
    write_model(made, image_config(engine, "python", plan.serving, parameters), PYTHON_MODEL)
    _write_python_text(engine, made)


def _write_onnx(engine: Bundle, made: Path, _work: Path, plan: Plan, _say: Say) -> None:
    write_model(made, image_config(engine, "onnxruntime_onnx", plan.serving, {}), engine.image_tower)
    write_model(made, text_config(engine, "onnxruntime_onnx", {}), engine.text_tower)


def _write_tensorrt(engine: Bundle, made: Path, work: Path, plan: Plan, say: Say) -> None:
    flavour: Flavour = "tensorrt" if plan.target == "tensorrt" else "tensorrt-rtx"
    graph = work / "graph.onnx"
    write_cast_first(engine.image_tower, graph)
    say(f"building the {flavour} engine for batches of {plan.serving.batch.smallest} to {plan.serving.batch.largest}")
    built = build_engine(graph, flavour, plan.serving.batch, capabilities=plan.capabilities)
    file = work / "model.plan"
    file.write_bytes(built.plan)
    write_model(made, image_config(engine, "tensorrt_plan", plan.serving, _provenance(built, plan)), file)
    _write_python_text(engine, made)


def _write_python_text(engine: Bundle, made: Path) -> None:
    parameters = python_parameters("text_tower", f"../{IMAGE_MODEL}/{BUNDLE_FOLDER}")
    write_model(made, text_config(engine, "python", parameters), PYTHON_MODEL)


def _provenance(built: Engine, plan: Plan) -> dict[str, str]:
    return {
        "engine_sha256": hashlib.sha256(built.plan).hexdigest(),
        "built_by": built.builder,
        "built_for": ", ".join(plan.capabilities) or "the builder's choice",
        "precision": plan.precision,
    }


_WRITERS: dict[Target, Callable[[Bundle, Path, Path, Plan, Say], None]] = {
    "cpu": _write_cpu,
    "onnx": _write_onnx,
    "tensorrt": _write_tensorrt,
    "tensorrt-rtx": _write_tensorrt,
}
