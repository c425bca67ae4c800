"""Schemas for kubeconform: Kubernetes' kinds with references inlined, and custom resources from their definitions."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.deploy.chart import TOOLS

Schema = dict[str, Any]

KUBERNETES = TOOLS / "python/kubernetes_validate/kubernetes-json-schema"
CUSTOM = TOOLS / "schemas"
KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
    "statefulset-apps-v1",
)


def write_schemas(folder: Path, version: str) -> None:
    """Write a strict schema of every kind that the chart may use, for one version of Kubernetes."""
    source = KUBERNETES / f"v{version}-local-strict"
    definitions = json.loads((source / "_definitions.json").read_text())["$defs"]
    for kind in KINDS:
        _write(folder / f"{kind}.json", _inlined(json.loads((source / f"{kind}.json").read_text()), definitions))
    metadata = _inlined(definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"], definitions)
    for path in sorted(CUSTOM.rglob("*.yaml")):
        for name, schema in _custom(yaml.safe_load(path.read_text())):
            schema["properties"]["metadata"] = metadata
            _write(folder / f"{name}.json", schema)


def trigger_keys(kind: str) -> frozenset[str]:
    """Return the keys that KEDA reads from the metadata of a trigger, from its source."""
    source = (CUSTOM / f"keda/{kind}_scaler.go").read_text()
    fields = re.findall(r'`keda:"name=(\w+),\s*order=([\w;]+)', source)
    return frozenset(name for name, order in fields if "triggerMetadata" in order)


def _write(path: Path, schema: Schema) -> None:
    path.write_text(json.dumps(schema))


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        return _inlined(definitions[reference.rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _custom(definition: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    kind, group = definition["spec"]["names"]["kind"], definition["spec"]["group"]
    for version in definition["spec"]["versions"]:
        name = f"{kind}-{group.partition('.')[0]}-{version['name']}".lower()
        yield name, _strict(version["schema"]["openAPIV3Schema"])


def _strict(schema: Any) -> Any:
    """Return a custom resource's schema that refuses fields it does not name, as the API server does on request."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if strict.pop("x-kubernetes-int-or-string", False):
        strict["type"] = ["integer", "string"]
    if "properties" in strict and isinstance(strict["properties"], dict) and strict.get("type") == "object":
        strict.setdefault("additionalProperties", bool(strict.get("x-kubernetes-preserve-unknown-fields")))
    return strict
