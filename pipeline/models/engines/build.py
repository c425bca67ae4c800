"""Build of a Triton model repository for a bundle, whose engine must judge like the bundle."""

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
from pipeline.progress import NO_PROGRESS, Progress

Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]

PRECISIONS: dict[Target, tuple[Precision, ...]] = {
    "cpu": ("fp32", "int8"),
    "onnx": ("fp32", "fp16", "int8"),
    "tensorrt": ("fp16", "fp32"),
    "tensorrt-rtx": ("fp16", "fp32"),
}

GPU_TARGETS: tuple[Target, ...] = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True, slots=True)
class Plan:
    """A target, its precision and its serving. `capabilities` are compute capabilities, for TensorRT alone."""

    target: Target
    precision: Precision
    serving: Serving
    capabilities: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` for a precision or batch that the target does not support."""
        if self.precision not in PRECISIONS[self.target]:
            known = " and ".join(PRECISIONS[self.target])
            raise UsageError(f"target `{self.target}` has {known}, not {self.precision}")
        if self.target in GPU_TARGETS and self.serving.batch.smallest != 1:
            raise UsageError(f"target `{self.target}`: the smallest batch must be 1, for an image that comes alone")


def build_repository(
    parent: Bundle, repository: Path, plan: Plan, evidence: Evidence, progress: Progress = NO_PROGRESS
) -> Parity:
    """
    Write a model repository for `parent` to the new folder `repository`.

    Raises `UsageError`, and leaves nothing behind, when the engine is refused or cannot be built.
    """
    plan.check()
    if repository.exists():
        raise UsageError(f"`{repository}` already exists; choose a new folder")
    with whole_folder(repository) as new, tempfile.TemporaryDirectory(dir=new.parent) as work:
        engine, parity = _engine(parent, Path(work), plan, evidence, progress)
        _WRITERS[plan.target](engine, new, Path(work), plan, progress)
        copy_bundle(engine, new)
    return parity


def _engine(parent: Bundle, work: Path, plan: Plan, evidence: Evidence, progress: Progress) -> tuple[Bundle, Parity]:
    progress.notify(f"making the {plan.precision} graph and judging {len(evidence.held_out)} files with it")
    if plan.precision == "fp32":
        parity = compare(parent, parent, evidence.held_out, evidence.policy_set, progress=progress)
        if refusals := parity.refusals(evidence.limits):
            raise UsageError("the bundle itself is refused: " + "; ".join(refusals))
        return parent, parity
    _, parity = write_engine_bundle(parent, work / "bundle", plan.precision, evidence, progress=progress)
    return Bundle.load(work / "bundle"), parity


def _write_cpu(engine: Bundle, new: Path, _work: Path, plan: Plan, _progress: Progress) -> None:
    parameters = python_parameters("image_tower", BUNDLE_FOLDER)
    write_model(new, image_config(engine, "python", plan.serving, parameters), PYTHON_MODEL)
    _write_python_text(engine, new)


def _write_onnx(engine: Bundle, new: Path, _work: Path, plan: Plan, _progress: Progress) -> None:
    write_model(new, image_config(engine, "onnxruntime_onnx", plan.serving, {}), engine.image_tower)
    write_model(new, text_config(engine, "onnxruntime_onnx", {}), engine.text_tower)


def _write_tensorrt(engine: Bundle, new: Path, work: Path, plan: Plan, progress: Progress) -> None:
    flavour: Flavour = "tensorrt" if plan.target == "tensorrt" else "tensorrt-rtx"
    graph = work / "graph.onnx"
    write_cast_first(engine.image_tower, graph)
    batch = plan.serving.batch
    with progress.working(f"building the {flavour} engine for batches of {batch.smallest} to {batch.largest}"):
        built = build_engine(graph, flavour, batch, capabilities=plan.capabilities)
    file = work / "model.plan"
    file.write_bytes(built.plan)
    write_model(new, image_config(engine, "tensorrt_plan", plan.serving, _provenance(built, plan)), file)
    _write_python_text(engine, new)


def _write_python_text(engine: Bundle, new: Path) -> None:
    parameters = python_parameters("text_tower", f"../{IMAGE_MODEL}/{BUNDLE_FOLDER}")
    write_model(new, text_config(engine, "python", parameters), PYTHON_MODEL)


def _provenance(built: Engine, plan: Plan) -> dict[str, str]:
    return {
        "engine_sha256": hashlib.sha256(built.plan).hexdigest(),
        "built_by": built.builder,
        "built_for": ", ".join(plan.capabilities) or "the builder's choice",
        "precision": plan.precision,
    }


_WRITERS: dict[Target, Callable[[Bundle, Path, Path, Plan, Progress], None]] = {
    "cpu": _write_cpu,
    "onnx": _write_onnx,
    "tensorrt": _write_tensorrt,
    "tensorrt-rtx": _write_tensorrt,
}
