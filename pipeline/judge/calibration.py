"""The calibration of a policy: a file beside its own, and what it makes of a threshold."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import PolicyError
from pipeline.events.calibration import Calibration, Isotonic, Platt
from pipeline.events.policies import Background, Policy
from pipeline.judge.policy import digest_of
from pipeline.judge.schema import Target

FOLDER = "calibrations"
_SCORED_BY = ("prompts", "contrast", "templates", "score", "aggregate")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IsotonicFile(_Strict):
    """Knots of score and probability, both rising."""

    method: Literal["isotonic"] = "isotonic"
    knots: list[tuple[float, float]] = Field(min_length=1)


class PlattFile(_Strict):
    """A logistic curve of the score."""

    method: Literal["platt"] = "platt"
    slope: float
    intercept: float


def curve_file(curve: Isotonic | Platt) -> IsotonicFile | PlattFile:
    """Return a curve as it is stored."""
    if isinstance(curve, Platt):
        return PlattFile(slope=curve.slope, intercept=curve.intercept)
    return IsotonicFile(knots=list(curve.knots))


class Evidence(_Strict):
    """
    What was seen of the data: labels of different images, how many of them are right, and over the threshold.

    `images_per_day` is the stream's, for a queue; `base_rate` what was declared, None when labels said how they were
    drawn.
    """

    labels: int
    right: int
    flags: int
    hits: int
    base_rate: float | None = None
    images_per_day: float | None = None


class CalibrationFile(_Strict):
    """
    A calibration as stored: `calibrations/<policy id>.json` in the folder of its policy.

    `prompts`, `model` and `data` are digests of what it was fitted on; `data_file` says where the labels were, seen
    from the folder.
    """

    policy: str
    threshold: float = Field(allow_inf_nan=False)
    precision: float | None
    confidence: float | None
    queue: str | None
    evidence: Evidence
    probability: Annotated[IsotonicFile | PlattFile, Field(discriminator="method")] | None
    prompts: str
    model: str
    data: str
    data_file: str | None
    fitted_at: datetime

    def save(self, folder: Path) -> Path:
        """Write it beside the policies of `folder` and return where."""
        path = folder / FOLDER / f"{self.policy}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n")
        return path

    def calibration(self, stale: tuple[str, ...]) -> Calibration:
        """Return what a flag says of it."""
        return Calibration(
            digest=digest_of(json.loads(self.model_dump_json())),
            data=self.data,
            prompts=self.prompts,
            precision=self.precision,
            confidence=self.confidence,
            probability=self._probability(),
            stale=stale,
        )

    def _probability(self) -> Isotonic | Platt | None:
        if isinstance(self.probability, PlattFile):
            return Platt(self.probability.slope, self.probability.intercept)
        return Isotonic(tuple(self.probability.knots)) if self.probability is not None else None


class WatchedGrid(_Strict):
    """
    The thresholds that fits under watch test, the strictest first: `calibrations/<policy id>.grid`.

    They were chosen at the first fit, for the scores of these prompts and this model, and for this target.
    """

    prompts: str
    model: str
    precision: float
    confidence: float
    thresholds: list[float]

    @classmethod
    def load(cls, folder: Path, policy_id: str) -> "WatchedGrid | None":
        """Return what is kept of a policy, None when nothing is."""
        path = folder / FOLDER / f"{policy_id}.grid"
        return cls.model_validate_json(path.read_bytes()) if path.is_file() else None

    def save(self, folder: Path, policy_id: str) -> None:
        """Keep it."""
        path = folder / FOLDER / f"{policy_id}.grid"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n")

    def same_scores(self, other: "WatchedGrid") -> bool:
        """Tell whether both are about the same scores and target."""
        return self.model_copy(update={"thresholds": other.thresholds}) == other


@dataclass(frozen=True, slots=True)
class Calibrations:
    """The calibrations of a folder, by policy id."""

    folder: Path
    files: dict[str, CalibrationFile]

    @classmethod
    def load(cls, folder: Path) -> "Calibrations":
        """Read every calibration of `folder`. Raises `PolicyError`."""
        files = {}
        for path in sorted((folder / FOLDER).glob("*.json")):
            try:
                file = CalibrationFile.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                raise PolicyError(f"{path}:1:1: no calibration: {told}; fit it again, or remove it") from error
            files[file.policy] = file
        return cls(folder, files)

    def fit(self, policy: Policy, target: Target, background: Background) -> Policy:
        """Give a policy that has a calibration here its threshold, and say what has changed since."""
        file = self.files[policy.id]
        stale = tuple(self._stale(file, policy, target, background))
        return replace(
            policy,
            threshold=file.threshold,
            provisional=file.precision is None or bool(stale),
            model=file.model,
            calibration=file.calibration(stale),
        )

    def _stale(self, file: CalibrationFile, policy: Policy, target: Target, background: Background) -> Iterator[str]:
        """Yield what has changed; the model is another matter, known at judging only."""
        if file.prompts != prompts_digest(policy, background):
            yield "prompts"
        if target != Target(file.precision, file.confidence or target.confidence, file.queue):
            yield "target"
        labels = self.folder / file.data_file if file.data_file else None
        if labels is not None and labels.is_file() and file_digest(labels) != file.data:
            yield "data"


def prompts_digest(policy: Policy, background: Background) -> str:
    """Return the digest of all that makes a policy's score of an embedding."""
    if policy.head is not None:
        return digest_of([policy.head.weights, policy.head.bias])
    return digest_of([[getattr(policy, name) for name in _SCORED_BY], background.prompts, background.templates])


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
