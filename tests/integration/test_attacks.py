"""The short form of each attack. `make attack` is the long form; docs/proofs.md has its latest figures."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.addresses import attack_addresses
from tests.attack.answers import attack_answers
from tests.attack.images import attack_images
from tests.attack.records import attack_records
from tests.attack.servers import attack_servers
from tests.attack.stalls import attack_stalls
from tests.attack.stops import attack_stops
from tests.support.stream import REPOSITORY, Stack

pytestmark = pytest.mark.integration


def _name(attack: Callable[..., bool]) -> str:
    return attack.__name__


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def photographs(samples: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::10]]


@pytest.mark.slow
@pytest.mark.parametrize("attack", [attack_records, attack_answers, attack_stops], ids=_name)
def test_attacks_on_the_stream_leave_every_verdict_right(
    attack: Callable[..., bool], stack: Stack, tmp_path: Path, photographs: list[bytes], told: list[str]
) -> None:
    assert attack(stack, tmp_path, photographs, told.append, quick=True), "\n".join(told)


@pytest.mark.slow
def test_readiness_and_lag_are_true_while_the_broker_is_frozen(
    stack: Stack, tmp_path: Path, photographs: list[bytes], told: list[str]
) -> None:
    assert attack_stalls(stack, tmp_path, photographs, told.append, quick=True), "\n".join(told)


@pytest.mark.slow
@pytest.mark.parametrize("attack", [attack_images, attack_servers], ids=_name)
def test_hostile_input_takes_bounded_time_and_memory(attack: Callable[..., bool], told: list[str]) -> None:
    assert attack(quick=True, say=told.append), "\n".join(told)


def test_every_hostile_policy_folder_bundle_and_label_file_gets_a_report() -> None:
    """It runs in a separate process, because it forks, and libraries loaded by other tests must not be forked."""
    command = [sys.executable, "-m", "tests.attack.policy_folders", "--quick"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_internal_address_is_reached(told: list[str]) -> None:
    assert attack_addresses(told.append), "\n".join(told)
