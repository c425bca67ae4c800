"""The delivery check finds losses and duplicates when there are some; `make prove` has other broken workers too."""

import sys
from pathlib import Path

import pytest

from tests.support.chaos import Chaos, Plan, Toll
from tests.support.stream import Stack, Stream

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PLAN = Plan(records=240, kills=0, open_kills=0, stops=0, visits=3, stop_s=0)


def run(stack: Stack, folder: Path, samples: Path, mode: str) -> Toll:
    images = [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::100]]
    command = (sys.executable, "-m", "tests.support.broken_worker", mode)
    with Stream(stack, folder, WATCHWORD_CHUNK_MAX_RECORDS="24") as stream:
        return Chaos(stream, images, PLAN, print, command).run()


@pytest.mark.parametrize("mode", ["generation"])
def test_a_worker_that_breaks_a_guarantee_is_detected(stack: Stack, tmp_path: Path, samples: Path, mode: str) -> None:
    toll = run(stack, tmp_path, samples, mode)
    assert toll.audit is not None
    assert toll.audit.duplicated or toll.audit.lost, toll.line()
