"""The chart, rendered by helm, and the tools and schemas that `make manifests` sets up."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy/helm/watchword"
TOOLS = REPOSITORY / ".watchword/parts/manifests"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
RELEASE = "blue"
NAMESPACE = "moderation"

Manifest = dict[str, Any]


class RefusedError(Exception):
    """Helm refused the values; the message is what the user reads."""


def render(*values: Path, chart: Path = CHART, settings: Mapping[str, str] | None = None) -> list[Manifest]:
    """Return every manifest of a release. Raises `RefusedError`."""
    command = [str(TOOLS / "bin/helm"), "template", RELEASE, str(chart)]
    command += ["--namespace", NAMESPACE, "--kube-version", "1.34.0"]
    for path in values:
        command += ["--values", str(path)]
    for key, value in (settings or {}).items():
        command += ["--set", f"{key}={value}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if run.returncode:
        raise RefusedError(run.stderr)
    return [each for each in yaml.safe_load_all(run.stdout) if each]


@dataclass(frozen=True)
class Pod:
    """The pod of a workload, with the workload's kind and component."""

    kind: str
    component: str
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def pods(manifests: list[Manifest]) -> Iterator[Pod]:
    """Yield the pod template of every workload."""
    for each in manifests:
        template = each.get("spec", {}).get("template")
        if template:
            yield Pod(each["kind"], template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"])


def pod(manifests: list[Manifest], component: str) -> Pod:
    return next(each for each in pods(manifests) if each.component == component)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's variables; one from a secret or a field as its reference's name."""
    return {each["name"]: each.get("value", "from a reference") for each in container.get("env", ())}
