"""Incident policy: a provisional shadow policy that scores images by nearness to an incident's examples."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from pipeline.counted import counted
from pipeline.digests import file_digest
from pipeline.encode.local import LocalEncoder
from pipeline.errors import PolicyError, UsageError
from pipeline.evaluation.search.groups import mean_direction
from pipeline.operations.images.sweep import Examples
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.policies.schema import HeadFile, head_name


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """A policy to write: `description` is its prompt and title, for people; `min_similarity` becomes its threshold."""

    id: str
    folder: Path
    description: str | None
    min_similarity: float


@dataclass(frozen=True, slots=True)
class WrittenPolicy:
    """A policy file that was written, and whether it is the only policy of its folder."""

    file: Path
    alone: bool


def write_incident_policy(workbench: Workbench, policy: IncidentPolicy, examples: Examples) -> WrittenPolicy:
    """
    Write and check a policy and its head, which scores by the cosine to the examples' mean direction.

    Raises `UsageError` when the file exists, and `PolicyError` when the folder is invalid with the policy.
    """
    file = policy.folder / f"{policy.id.replace('.', '-')}.yaml"
    if file.exists() or (policy.folder / head_name(policy.id)).exists():
        raise UsageError(f"`{policy.folder}` already has the policy `{policy.id}`; choose another id")
    encoder = workbench.encoder
    head = _head(examples, encoder).save(policy.folder, policy.id)
    file.write_text(_yaml(_fields(policy, len(examples.files), encoder)))
    try:
        policy_set = load_policy_set(policy.folder)
    except PolicyError:
        file.unlink()
        head.unlink()
        raise
    return WrittenPolicy(file, alone=len(policy_set.policies) == 1)


def _head(examples: Examples, encoder: LocalEncoder) -> HeadFile:
    direction = mean_direction(examples.vectors) * encoder.logit_scale
    return HeadFile(
        weights=[float(np.float32(weight)) for weight in direction],
        bias=0.0,
        model=encoder.model_digest,
        data=hashlib.sha256("".join(map(file_digest, examples.files)).encode()).hexdigest(),
        average_precision=None,
    )


def _fields(policy: IncidentPolicy, examples: int, encoder: LocalEncoder) -> Mapping[str, Any]:
    threshold = round(policy.min_similarity * encoder.logit_scale, 3)
    return {
        "id": policy.id,
        "title": policy.description or f"Images like those of {policy.id}",
        "prompts": [policy.description or "an image like those of the incident"],
        "score": "linear",
        "head": head_name(policy.id),
        "threshold": {"value": threshold, "provisional": True, "model": encoder.model_digest},
        "severity": "high",
        "action": "review",
        "owner": "trust-and-safety",
        "mode": "shadow",
        "rationale": f"Written by a sweep from {counted(examples, 'image')}.",
    }


def _yaml(fields: Mapping[str, Any]) -> str:
    text = StringIO()
    YAML().dump(dict(fields), text)
    return text.getvalue()
