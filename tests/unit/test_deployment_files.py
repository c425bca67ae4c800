"""Files of the deployment: Dockerfiles without findings, their sources, and the chart's links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
DOCKERFILES = sorted(path for path in DEPLOY.rglob("*Dockerfile"))


def test_hadolint_finds_nothing_in_a_dockerfile() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run = subprocess.run((hadolint, *DOCKERFILES), capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_an_image_runs_as_a_user_without_privileges(path: Path) -> None:
    assert re.findall(r"^USER (.*)$", path.read_text(), re.MULTILINE)[-1] == "10001:10001"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_everything_an_image_copies_is_in_the_build_context(path: Path) -> None:
    admitted = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    text = path.read_text().replace("${LOCK}", "requirements/image.txt")
    copies = re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
    for source in [word for copy in copies for word in copy.split()[:-1]]:
        assert (REPOSITORY / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in admitted), source


def test_the_chart_holds_the_rules_and_dashboards_of_the_repository() -> None:
    """They are links, so there is one copy."""
    files = DEPLOY / "helm/watchword/files"
    assert (files / "rules").resolve() == DEPLOY / "prometheus/rules"
    assert (files / "dashboards").resolve() == DEPLOY / "grafana/dashboards"


def test_yaml_files_can_be_read() -> None:
    for path in [*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")]:
        if "templates" not in path.parts:
            assert list(yaml.safe_load_all(path.read_text())), path


def test_the_image_has_the_versions_that_the_tests_run() -> None:
    tested, held = (locked(REPOSITORY / f"requirements/{name}.txt") for name in ("test", "image"))
    assert held.items() <= tested.items()
    assert "torch" not in held


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))
