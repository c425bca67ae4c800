"""The chart against the real schemas of Kubernetes, KEDA and the Prometheus operator; run by `make manifests`."""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml  # type: ignore[import-untyped]

from pipeline.settings import Settings, load_settings
from pipeline.stream.shutdown import LEAVING_S
from tests.deploy.chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    REPOSITORY,
    TOOLS,
    VALUES,
    Manifest,
    RefusedError,
    environment,
    of_kind,
    pod,
    pods,
    render,
)
from tests.deploy.schemas import trigger_keys, write_schemas
from tests.support.golden.surface import commands

OLDEST, NEWEST = "1.29.0", "1.37.0"
EVERYTHING = next(path for path in VALUES if path.stem == "everything")
DEFAULT = next(path for path in VALUES if path.stem == "default")

# Maps whose keys are the user's own.
FREE = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "requests", "limits", "data"})

RULES = {
    "groups": [
        {
            "name": "sample",
            "rules": [{"alert": "Held", "expr": "watchword_stopped > 0", "labels": {"severity": "page"}}],
        }
    ]
}

every_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def schemas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"schemas-{request.param}")
    write_schemas(folder, request.param)
    return folder


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart with one more rule and one more dashboard."""
    copied = tmp_path_factory.mktemp("chart") / "watchword"
    shutil.copytree(CHART, copied)
    (copied / "files/rules/sample.yaml").write_text(yaml.dump(RULES))
    (copied / "files/dashboards/sample.json").write_text('{"title": "{{ not a template }}"}')
    return copied


def verdicts(schemas: Path, manifests: list[Manifest]) -> list[dict[str, str]]:
    """Return kubeconform's verdict on each manifest, in their order."""
    location = str(schemas / "{{.ResourceKind}}{{.KindSuffix}}.json")
    command = (TOOLS / "bin/kubeconform", "-strict", "-verbose", "-output", "json", "-schema-location", location)
    # A name for each, so that the order of the answers does not matter.
    numbered = [{**each, "metadata": {**each["metadata"], "name": str(n)}} for n, each in enumerate(manifests)]
    run = subprocess.run(
        command, input=yaml.dump_all(numbered), capture_output=True, text=True, timeout=300, check=False
    )
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)["resources"]
    assert len(found) == len(manifests)
    return sorted(found, key=lambda each: int(each["name"]))


@every_values
def test_every_manifest_fits_the_schema_of_its_kind(schemas: Path, values: Path) -> None:
    manifests = render(values)
    problems = [each for each in verdicts(schemas, manifests) if each["status"] != "statusValid"]
    assert problems == []


def test_every_misspelt_field_is_refused(schemas: Path, sampled: Path) -> None:
    """Each field of each kind, renamed one at a time: a schema that checked nothing would be noticed."""
    manifests = render(EVERYTHING, chart=sampled)
    by_kind = {each["kind"]: each for each in manifests}
    spoiled = [each for manifest in by_kind.values() for each in misspelt(manifest)]
    accepted = [
        path
        for (path, _), each in zip(spoiled, verdicts(schemas, [bad for _, bad in spoiled]), strict=True)
        if each["status"] != "statusInvalid"
    ]
    assert accepted == []
    assert {path.partition(":")[0] for path, _ in spoiled} == set(by_kind)


def misspelt(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Yield the manifest with each field below the top renamed, and the field's path."""
    for path in [["spec"], *fields(manifest.get("spec", {}), ["spec"])] if "spec" in manifest else [["data"]]:
        spoiled = copy.deepcopy(manifest)
        parent: Any = spoiled
        for step in path[:-1]:
            parent = parent[step]
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
        yield f"{manifest['kind']}: {path}", spoiled


def fields(value: Any, path: list[Any]) -> Iterator[list[Any]]:
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from fields(each, [*path, number])
    elif isinstance(value, dict) and not is_free(path, value):
        for key, each in value.items():
            yield [*path, key]
            yield from fields(each, [*path, key])


def is_free(path: list[Any], value: dict[str, Any]) -> bool:
    """Tell whether the keys of the map at a path are the user's own; a trigger's metadata is checked elsewhere."""
    service_selector = path == ["spec", "selector"] and "matchLabels" not in value
    return path[-1] in FREE or service_selector or (path[-1] == "metadata" and "triggers" in path)


@every_values
def test_keda_reads_every_key_of_a_trigger(values: Path) -> None:
    """KEDA ignores a misspelt key of a trigger, and its schema admits any."""
    for scaled in of_kind(render(values), "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            assert set(trigger["metadata"]) <= trigger_keys(trigger["type"])


@every_values
def test_scaled_objects_name_workloads_without_a_fixed_size(values: Path) -> None:
    manifests = render(values)
    workloads = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    for scaled in of_kind(manifests, "ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]
        assert "replicas" not in workloads[target["kind"], target["name"]]["spec"]


@every_values
def test_every_pod_is_confined(values: Path) -> None:
    for each in pods(render(values)):
        security = each.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert each.spec["automountServiceAccountToken"] is False
        for container in each.containers:
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in each.spec["volumes"]} | {"archive"}


@every_values
def test_secrets_are_referred_to_and_never_rendered(values: Path) -> None:
    manifests = render(values)
    assert of_kind(manifests, "Secret") == []
    for each in pods(manifests):
        for container in each.containers:
            for variable in container.get("env", ()):
                if any(word in variable["name"] for word in ("PASSWORD", "OPTIONS")):
                    assert "secretKeyRef" in variable["valueFrom"]


@every_values
def test_commands_and_settings_exist(values: Path) -> None:
    """A worker refuses an unknown setting, and so would every pod of a release."""
    known = commands()
    for each in pods(render(values)):
        if each.component in {"triton", "tensorrt"}:
            continue
        [container] = each.spec["containers"]
        words = [word for word in container["args"] if not word.startswith("--")]
        options = [word for word in container["args"] if word.startswith("--")]
        assert set(options) <= set(known[" ".join(["watchword", *words])]["options"])
        given = {**environment(container)}
        with mock.patch.dict(os.environ, {**given, "WATCHWORD_ARCHIVE_OPTIONS": "{}"}):
            load_settings(Settings)


def test_the_engine_build_has_options_that_exist() -> None:
    [container] = pod(render(EVERYTHING), "tensorrt").spec["containers"]
    options = {word for word in container["args"] if str(word).startswith("--")}
    assert options <= set(commands()["watchword models build"]["options"])


def test_a_worker_has_a_stable_id_and_leaves_its_group_in_time() -> None:
    """The grace period admits the whole drain and the leave, or the pod would be killed amid them."""
    manifests = render(DEFAULT, settings={"worker.drainTimeoutSeconds": "45"})
    worker = pod(manifests, "worker")
    assert worker.kind == "StatefulSet"
    [container] = worker.spec["containers"]
    variables = {each["name"]: each for each in container["env"]}
    assert variables["WATCHWORD_INSTANCE_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert variables["WATCHWORD_LEAVE_ON_STOP"]["value"] == "true"
    assert variables["WATCHWORD_DRAIN_TIMEOUT_S"]["value"] == "45"
    assert worker.spec["terminationGracePeriodSeconds"] > 45 + LEAVING_S


def test_probes_match_the_meaning_of_each_endpoint() -> None:
    """`/readyz` must not restart a pod: no restart brings a dependency back."""
    for component in ("worker", "archive", "decisions"):
        [container] = pod(render(DEFAULT), component).spec["containers"]
        probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
        assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_a_paused_archive_has_its_volume_and_runs_nothing() -> None:
    """`watchword archive delete` needs the volume, and no archiver that writes meanwhile."""
    [container] = pod(render(DEFAULT, settings={"archive.paused": "true"}), "archive").spec["containers"]
    assert container["command"] == ["sleep", "infinity"]
    assert "livenessProbe" not in container
    assert "archive" in {mount["name"] for mount in container["volumeMounts"]}


def test_traffic_is_denied_but_for_what_is_needed() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(render(DEFAULT), "NetworkPolicy")}
    deny = policies[f"{RELEASE}-watchword-deny"]
    assert set(deny) == {"podSelector", "policyTypes"}
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["port"] for rule in policies[f"{RELEASE}-watchword-kafka"]["egress"] for port in rule["ports"]}
    assert ports == {53, 9092}
    assert policies[f"{RELEASE}-watchword-triton"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "grpc"}]


def test_triton_queries_name_the_pods_of_the_release() -> None:
    [triton] = [each for each in of_kind(render(EVERYTHING), "ScaledObject") if "triton" in each["metadata"]["name"]]
    query = triton["spec"]["triggers"][0]["metadata"]["query"]
    assert query.count(f'namespace="{NAMESPACE}",pod=~"{RELEASE}-watchword-triton-.*"') == 2


def test_rules_and_dashboards_of_a_release_are_those_of_the_repository(tmp_path: Path) -> None:
    """Also from a packaged chart, in which links have become files."""
    subprocess.run(
        (TOOLS / "bin/helm", "package", CHART, "--destination", tmp_path), capture_output=True, timeout=60, check=True
    )
    [packaged] = tmp_path.glob("*.tgz")
    for chart in (CHART, packaged):
        manifests = render(EVERYTHING, chart=chart)
        rules = [each["spec"] for each in of_kind(manifests, "PrometheusRule")]
        assert rules == [yaml.safe_load(path.read_text()) for path in files("prometheus/rules", "yaml")]
        dashboards = {
            name: text
            for each in of_kind(manifests, "ConfigMap")
            if "grafana_dashboard" in each["metadata"]["labels"]
            for name, text in each["data"].items()
        }
        assert dashboards == {path.name: path.read_text() for path in files("grafana/dashboards", "json")}


def test_a_rule_and_a_dashboard_reach_the_cluster_unchanged(sampled: Path) -> None:
    manifests = render(EVERYTHING, chart=sampled)
    assert RULES in [each["spec"] for each in of_kind(manifests, "PrometheusRule")]
    texts = [text for each in of_kind(manifests, "ConfigMap") for text in each["data"].values()]
    assert '{"title": "{{ not a template }}"}' in texts


def test_a_rules_file_without_groups_is_refused(sampled: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(sampled, tmp_path / "watchword")
    (broken / "files/rules/sample.yaml").write_text("group: []\n")
    with pytest.raises(RefusedError, match=r"files/rules/sample.yaml has no rule groups"):
        render(EVERYTHING, chart=broken)


def files(folder: str, extension: str) -> list[Path]:
    return sorted((REPOSITORY / "deploy" / folder).glob(f"*.{extension}"))


REFUSED = {
    "without brokers": ({}, "kafka.bootstrapServers is empty: name the brokers"),
    "misspelt value": ({"worker.replica": "2"}, "additional properties 'replica' not allowed"),
    "more workers than partitions": ({"worker.replicas": "13"}, "13 workers need as many partitions"),
    "more workers than partitions, scaled": (
        {"worker.autoscaling.enabled": "true", "worker.autoscaling.maxReplicas": "20"},
        "20 workers need as many partitions",
    ),
    "login without a secret": (
        {"kafka.sasl.mechanism": "PLAIN", "kafka.securityProtocol": "SASL_SSL"},
        "kafka.sasl.mechanism needs kafka.sasl.existingSecret",
    ),
    "a secret as a setting": (
        {"settings.WATCHWORD_SASL_PASSWORD": "hunter2"},
        "would put a secret into the release",
    ),
    "a setting of the chart": ({"settings.WATCHWORD_INSTANCE_ID": "a"}, "is set by the chart from another value"),
    "queue time without Prometheus": ({"triton.autoscaling.enabled": "true"}, "needs monitoring.prometheusUrl"),
    "external Triton without address": ({"triton.mode": "external"}, "triton.mode external needs triton.url"),
    "more in-sync replicas than replicas": ({"topics.replicas": "1"}, "no record could be written"),
    "engines without a bundle": ({"tensorrt.enabled": "true", "triton.mode": "gpu"}, "needs tensorrt.bundle"),
    "policies without a config map": ({"policies.source": "configMap"}, "needs policies.configMap"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_values_are_refused_with_what_to_change(settings: dict[str, str], message: str) -> None:
    brokers = {"kafka.bootstrapServers": "kafka:9092"} if settings else {}
    with pytest.raises(RefusedError) as refused:
        render(settings={**brokers, **settings})
    assert message in str(refused.value)


def test_the_schema_names_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert list(unequal(schema, values, "")) == []


def unequal(schema: dict[str, Any], values: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the paths that only one of the two has; maps of the user's own keys are not looked into."""
    known = set(schema.get("properties", ())) - {"global"}
    if not known or known == {"maxUnavailable", "minAvailable"}:
        return
    yield from (f"{path}.{each}" for each in known ^ set(values))
    for key in known & set(values):
        if isinstance(values[key], dict):
            yield from unequal(schema["properties"][key], values[key], f"{path}.{key}")
