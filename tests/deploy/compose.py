"""The compose file, read by docker-compose itself; run by `make manifests`."""

import os
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml  # type: ignore[import-untyped]

from pipeline.settings import Settings, load_settings
from tests.deploy.chart import REPOSITORY
from tests.support.golden.surface import commands

COMPOSE = REPOSITORY / "deploy/compose.yaml"
OURS = ("topics", "worker", "archive", "decisions")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return every service as docker-compose resolves it, those of both profiles included."""
    command = ("docker-compose", "-f", COMPOSE, "--profile", "cpu", "--profile", "gpu", "config")
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = yaml.safe_load(run.stdout)["services"]
    return found


def test_services_of_ours_are_confined(services: dict[str, Any]) -> None:
    for name in (*OURS, "triton-cpu", "triton-gpu"):
        assert services[name]["read_only"] is True, name
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name


def test_commands_and_settings_exist(services: dict[str, Any]) -> None:
    known = commands()
    for name in OURS:
        given = services[name]["command"]
        words = " ".join(["watchword", *(word for word in given if not word.startswith("--"))])
        assert {word for word in given if word.startswith("--")} <= set(known[words]["options"])
        with mock.patch.dict(os.environ, services[name]["environment"]):
            load_settings(Settings)


def test_images_name_a_version(services: dict[str, Any]) -> None:
    """An image without a tag would be another one tomorrow; ours are built from here."""
    for name, service in services.items():
        assert "build" in service or ":" in service["image"], name
        assert not service["image"].endswith(":latest"), name


def test_topics_exist_before_anything_reads_them(services: dict[str, Any]) -> None:
    assert services["topics"]["depends_on"] == {"broker": {"condition": "service_healthy"}}
    for name in ("worker", "archive", "decisions"):
        assert services[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_ports_are_published_on_the_loopback_address_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_mounted_folders_exist(services: dict[str, Any]) -> None:
    """Docker would create a missing one, empty and owned by root."""
    mounts = [str(volume).split(":")[0] for each in services.values() for volume in each.get("volumes", ())]
    folders = [Path(mount) for mount in mounts if mount.startswith("/")]
    assert folders
    assert [folder for folder in folders if not folder.is_dir()] == []
