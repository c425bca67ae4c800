"""Calibrations of a policy folder, and the fitted thresholds of its policies."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from pipeline.bounded import open_regular, why
from pipeline.errors import PolicyError
from pipeline.events.policies import Background, Policy
from pipeline.policies.calibration_file import FOLDER, CalibrationFile, prompts_digest
from pipeline.policies.diagnostics import Diagnostics
from pipeline.policies.json_files import read_json
from pipeline.policies.schema import Target
from pipeline.policies.validation_errors import first_error
from pipeline.visible import one_line

MOST_FILES = 10_000
# Larger label files are not read to check whether a calibration was fitted on them.
MOST_LABEL_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Calibrations:
    """The calibrations of a folder, by policy id."""

    folder: Path
    files: dict[str, CalibrationFile]

    @classmethod
    def load(cls, folder: Path) -> "Calibrations":
        """Read every calibration of `folder`. Raises `PolicyError` with every error."""
        diagnostics, files = Diagnostics(), {}
        for path in _listed(folder / FOLDER):
            try:
                file = read_json(CalibrationFile, path)
            except (OSError, ValidationError) as error:
                reason = first_error(error) if isinstance(error, ValidationError) else why(error)
                diagnostics.file_error(path, partial(_no_calibration, path, reason))
                continue
            if file.policy != path.stem:
                diagnostics.file_error(path, partial(_no_calibration, path, f"it is one of `{file.policy}`"))
            files[file.policy] = file
        diagnostics.raise_any()
        return cls(folder, files)

    def fit(self, policy: Policy, target: Target, background: Background) -> Policy:
        """Return the policy with the threshold of its calibration, and with the names of stale inputs."""
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
        """Yield the inputs that have changed since the fit. A changed model is known only when a model is loaded."""
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
    return f"{one_line(path)}:1:1: not a valid calibration: {reason}; fit it again, or remove it"


def _other_data(labels: Path, digest: str) -> bool:
    """Tell whether a label file exists and has another digest."""
    try:
        with open_regular(labels, MOST_LABEL_BYTES) as content:
            return hashlib.file_digest(content, "sha256").hexdigest() != digest
    except FileNotFoundError:
        return False
    except OSError:
        return True
