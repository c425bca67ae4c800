"""The calibration of a policy: a file beside its own, and what it makes of a threshold."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, StringConstraints, ValidationError

from pipeline.bounded import open_regular, why
from pipeline.errors import PolicyError
from pipeline.events.calibration import Calibration, Isotonic, Platt
from pipeline.events.policies import Background, Policy
from pipeline.policies.compile import digest_of
from pipeline.policies.json_files import read_json
from pipeline.policies.reports import Reports
from pipeline.policies.schema import Target
from pipeline.policies.validation_errors import told
from pipeline.visible import one_line

FOLDER = "calibrations"
MOST_FILES = 10_000
# Labels of more bytes than this are not read to see whether they are those that a calibration was fitted on.
MOST_LABEL_BYTES = 1 << 30
_SCORED_BY = ("prompts", "contrast", "templates", "score", "aggregate")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _rising(knots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    for before, after in itertools.pairwise(knots):
        if after[0] < before[0] or after[1] < before[1]:
            raise ValueError("knots of score and probability that both rise are expected")
    return knots


Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
# Of a policy or of a child of one.
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

    labels: Count
    right: Count
    flags: Count
    hits: Count
    base_rate: Share | None = None
    images_per_day: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class CalibrationFile(_Strict):
    """
    A calibration as stored: `calibrations/<policy id>.json` in the folder of its policy.

    `prompts`, `model` and `data` are digests of what it was fitted on; `data_file` says where the labels were, seen
    from the folder.
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

    prompts: Digest
    model: Digest
    precision: Share
    confidence: Share
    thresholds: Annotated[list[Number], Field(max_length=20_000), FailFast()]

    @classmethod
    def load(cls, folder: Path, policy_id: str) -> "WatchedGrid | None":
        """Return what is kept of a policy, None when nothing is. Raises `PolicyError`."""
        path = folder / FOLDER / f"{policy_id}.grid"
        if not os.path.lexists(path):
            return None
        try:
            return read_json(cls, path)
        except (OSError, ValidationError) as error:
            reason = told(error) if isinstance(error, ValidationError) else why(error)
            message = f"{one_line(path)}:1:1: no thresholds under watch: {reason}; remove it to begin again"
            raise PolicyError(message) from error

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
        """Read every calibration of `folder`. Raises `PolicyError` that shows every mistake."""
        reports, files = Reports(), {}
        for path in _listed(folder / FOLDER):
            try:
                file = read_json(CalibrationFile, path)
            except (OSError, ValidationError) as error:
                reason = told(error) if isinstance(error, ValidationError) else why(error)
                reports.add(path, "file", partial(_no_calibration, path, reason))
                continue
            if file.policy != path.stem:
                reports.add(path, "file", partial(_no_calibration, path, f"it is one of `{file.policy}`"))
            files[file.policy] = file
        if reports:
            raise reports.error()
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
        if labels is not None and _other_data(labels, file.data):
            yield "data"


def _listed(folder: Path) -> list[Path]:
    if not os.path.lexists(folder):
        return []
    try:
        with os.scandir(folder) as entries:
            found = [folder / each.name for each in itertools.islice(entries, 2 * MOST_FILES + 1)]
    except OSError as error:
        raise PolicyError(f"{one_line(folder)}:1:1: cannot be listed: {why(error)}") from error
    if len(found) > 2 * MOST_FILES:
        raise PolicyError(
            f"{one_line(folder)}:1:1: more than {2 * MOST_FILES:,} files; is this a folder of calibrations?"
        )
    return sorted(path for path in found if path.suffix == ".json")


def _no_calibration(path: Path, reason: str) -> str:
    return f"{one_line(path)}:1:1: no calibration: {reason}; fit it again, or remove it"


def _other_data(labels: Path, digest: str) -> bool:
    """Tell whether a file of labels is there and is not the one of this digest."""
    try:
        with open_regular(labels, MOST_LABEL_BYTES) as content:
            return hashlib.file_digest(content, "sha256").hexdigest() != digest
    except FileNotFoundError:
        return False
    except OSError:
        return True


def prompts_digest(policy: Policy, background: Background) -> str:
    """Return the digest of all that makes a policy's score of an embedding."""
    if policy.head is not None:
        return digest_of([policy.head.weights, policy.head.bias])
    return digest_of([[getattr(policy, name) for name in _SCORED_BY], background.prompts, background.templates])


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
