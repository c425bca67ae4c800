"""
For the tests of a policy repository: a fixture that replays labelled streams.

    def test_firearms_are_found(replay):
        assert replay("streams/firearms.csv")["weapons.firearms"].precision.lower >= 0.9
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.evaluation.replay.metrics import PolicyResult

POLICIES = "watchword_policies"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that name the folder of policy files."""
    help_text = "folder of policy files that `replay` measures, from the root folder on"
    parser.getgroup("watchword").addoption("--watchword-policies", default=None, help=help_text)
    parser.addini(POLICIES, help_text, default="policies")


@pytest.fixture(scope="session")
def replay(request: pytest.FixtureRequest) -> "Callable[..., dict[str, PolicyResult]]":
    """
    Return a function from a labelled stream, a path from the root folder on, to every labelled policy's result by id.

    Precision, recall, F1 and average precision of a result each have `value`, `lower` and `upper`, the ends of a 95 %
    interval. The encoder is WATCHWORD_MODEL's, in process. With `split`, only rows of that split count.
    """
    from pipeline.cli.stream.replay import replay as judge
    from pipeline.evaluation.datasets.labelled_stream import read_stream
    from pipeline.evaluation.replay.metrics import results

    root = request.config.rootpath
    policies = root / (request.config.getoption("--watchword-policies") or request.config.getini(POLICIES))
    known: dict[tuple[Path, str | None], dict[str, PolicyResult]] = {}

    def replayed(stream: str | Path, split: str | None = None) -> "dict[str, PolicyResult]":
        key = (root / stream, split)
        if key not in known:
            known[key] = results(judge(read_stream(*key), policies))
        return known[key]

    return replayed
