"""The commands of the README run unchanged, in its order."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.pages import REPOSITORY, code_blocks, shell_lines
from tests.support.pictures.screenshots import LARGEST_BYTES
from tests.support.ports import free_ports
from tests.support.stream import Stack
from tests.support.waiting import wait_until

# What is running now.
ELSEWHERE = {"make test"}
EXIT_CODES = {"scan": (0, 1)}


def commands() -> list[str]:
    """Return the commands of every block but the first, which test_wheel.py runs in a separate environment."""
    return [line for block in code_blocks("README.md", "sh")[1:] for line in shell_lines(block)]


def test_links_are_not_broken() -> None:
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_pictures_are_small_and_fetch_nothing() -> None:
    pictures = list((REPOSITORY / "docs/pictures").iterdir())
    assert {path.name for path in pictures} == {
        *("scan.png", "backtest.png", "label.png", "terminal.svg"),
        *(f"dashboard-{name}.png" for name in ("stream", "policies", "models", "policy")),
    }
    assert all(path.stat().st_size <= LARGEST_BYTES for path in pictures)
    assert not re.search(r"@font-face|url\([^#]|href", (REPOSITORY / "docs/pictures/terminal.svg").read_text())


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_of_the_readme_works(stack: Stack, tmp_path: Path) -> None:
    """They run on a separate stack: `make demo` first, then scan, the stream, the policies."""
    names = ("KAFKA", "CONTROLLER", "TRITON_GRPC", "TRITON_HTTP", "TRITON_METRICS")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        **{f"WATCHWORD_STACK_{name}_PORT": str(port) for name, port in ports.items()},
        "WATCHWORD_STACK_STATE": str(tmp_path / "state"),
        "WATCHWORD_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports['KAFKA']}",
        "WATCHWORD_TRITON_URL": f"127.0.0.1:{ports['TRITON_GRPC']}",
        "WATCHWORD_HTTP_PORT": "0",
    }
    workers: list[subprocess.Popen[bytes]] = []
    outputs: dict[str, str] = {}
    try:
        for command in commands():
            if command in ELSEWHERE:
                continue
            if command.endswith("watchword run"):
                words = ["env", *command.split()]
                workers.append(subprocess.Popen(words, env=environment, cwd=REPOSITORY, stderr=subprocess.DEVNULL))
                wait_until(lambda: _flags(environment), 60, "flags from the README's worker", 1.0)
                continue
            run = subprocess.run(
                command, shell=True, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
            )
            outputs[command] = run.stdout
            expected = next((codes for word, codes in EXIT_CODES.items() if f"watchword {word} " in command), (0,))
            assert run.returncode in expected, f"{command}: {run.returncode}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        assert len(workers) == 2
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait(60) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
        subprocess.run(
            [".venv/bin/watchword", "stack", "down"], env=environment, cwd=REPOSITORY, capture_output=True, check=False
        )
        for page in ("report", "found", "replay"):
            (REPOSITORY / f"{page}.html").unlink(missing_ok=True)
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
    content, last = outputs["make demo"].strip().splitlines()[-2:]
    assert content == "demo: 1015 outcomes compared with an in-process scan, 0 wrong"
    assert re.fullmatch(
        r"demo: 1015 records in, 1007 verdicts, \d+ flags, 8 dead letters, 0 lost, 0 duplicated", last
    ), last


def _flags(environment: dict[str, str]) -> bool:
    run = subprocess.run(
        [".venv/bin/watchword", "read", "flags"],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode == 0 and bool(run.stdout.strip())
