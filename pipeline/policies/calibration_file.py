"""Calibration file of a policy, stored next to it: a threshold, a probability curve and their evidence."""

import itertools
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, StringConstraints, ValidationError

from pipeline.bounded import why
from pipeline.errors import PolicyError
from pipeline.events.calibration import Calibration, Isotonic, Platt
from pipeline.events.policies import Background, Policy
from pipeline.policies.compile import digest_of
from pipeline.policies.json_files import read_json
from pipeline.policies.validation_errors import first_error
from pipeline.visible import one_line

FOLDER = "calibrations"
_SCORED_BY = ("prompts", "contrast", "templates", "score", "aggregate")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _rising(knots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    for before, after in itertools.pairwise(knots):
        if after[0] < before[0] or after[1] < before[1]:
            raise ValueError("scores and probabilities of the knots must both rise")
    return knots


Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
# The id of a policy, or of a child with its parent's id before it.
PartId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=200)]


class IsotonicFile(_Strict):
    """Knots of score and probability, both rising."""

    method: Literal["isotonic"] = "isotonic"
    knots: Annotated[
        list[tuple[Number, Share]], Field(min_length=1, max_length=20_000), FailFast(), AfterValidator(_rising)
    ]


class PlattFile(_Strict):
    """A logistic curve of the score."""

    method: Literal["platt"] = "platt"
    slope: Number
    intercept: Number


def curve_file(curve: Isotonic | Platt) -> IsotonicFile | PlattFile:
    """Return a curve in its stored form."""
    if isinstance(curve, Platt):
        return PlattFile(slope=curve.slope, intercept=curve.intercept)
    return IsotonicFile(knots=list(curve.knots))


class Evidence(_Strict):
    """
    Counts of the labels, one label per image: all, positive, flagged, and both flagged and positive.

    `images_per_day` is the stream's rate, for a queue. `base_rate` is the declared rate of positives, None when the
    labels have sampling probabilities.
    """

    labels: Count
    right: Count
    flags: Count
    hits: Count
    base_rate: Share | None = None
    images_per_day: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class CalibrationFile(_Strict):
    """
    A calibration as stored: `calibrations/<policy id>.json` in the folder of its policy.

    `prompts`, `model` and `data` are digests of the inputs of the fit. `data_file` is the path of the labels, relative
    to the folder.
    """

    policy: PartId
    threshold: Number
    precision: Share | None
    confidence: Share | None
    queue: Annotated[str, Field(max_length=30)] | None
    evidence: Evidence
    probability: Annotated[IsotonicFile | PlattFile, Field(discriminator="method")] | None
    prompts: Digest
    model: Digest
    data: Annotated[str, Field(max_length=4096)]
    data_file: Annotated[str, Field(max_length=4096)] | None
    fitted_at: datetime

    def save(self, folder: Path) -> Path:
        """Write the file in the policy folder `folder`, and return its path."""
        path = folder / FOLDER / f"{self.policy}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n")
        return path

    def calibration(self, stale: tuple[str, ...]) -> Calibration:
        """Return the calibration with its stale inputs, as flags name it."""
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
    The thresholds that sequential fits test, strictest first, stored as `calibrations/<policy id>.grid`.

    The first fit chose them, for the scores of these prompts and this model, and for this target.
    """

    prompts: Digest
    model: Digest
    precision: Share
    confidence: Share
    thresholds: Annotated[list[Number], Field(max_length=20_000), FailFast()]

    @classmethod
    def load(cls, folder: Path, policy_id: str) -> "WatchedGrid | None":
        """Return the stored grid of a policy, None if there is none. Raises `PolicyError`."""
        path = folder / FOLDER / f"{policy_id}.grid"
        if not os.path.lexists(path):
            return None
        try:
            return read_json(cls, path)
        except (OSError, ValidationError) as error:
            reason = first_error(error) if isinstance(error, ValidationError) else why(error)
            message = f"{one_line(path)}:1:1: not a grid of sequential thresholds: {reason}; remove it to start again"
            raise PolicyError(message) from error

    def save(self, folder: Path, policy_id: str) -> None:
        """Write the file in the policy folder `folder`."""
        path = folder / FOLDER / f"{policy_id}.grid"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n")

    def same_scores(self, other: "WatchedGrid") -> bool:
        """Tell whether both grids have the same scores and target."""
        return self.model_copy(update={"thresholds": other.thresholds}) == other


def prompts_digest(policy: Policy, background: Background) -> str:
    """Return the digest of everything that a policy's score depends on, except the model."""
    if policy.head is not None:
        return digest_of([policy.head.weights, policy.head.bias])
    return digest_of([[getattr(policy, name) for name in _SCORED_BY], background.prompts, background.templates])
