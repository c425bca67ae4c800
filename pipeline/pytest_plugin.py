"""
Fixture for the tests of a policy repository: `replay` measures policies on labelled streams.

    def test_firearms_are_found(replay):
        assert replay("streams/firearms.csv")["weapons.firearms"].precision.lower >= 0.9
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.evaluation.replay.metrics import PolicyResult

POLICIES = "watchword_policies"
USER = "pytest"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that name the folder of policy files."""
    help_text = "folder of policy files that `replay` measures, relative to the root folder"
    parser.getgroup("watchword").addoption("--watchword-policies", default=None, help=help_text)
    parser.addini(POLICIES, help_text, default="policies")


@pytest.fixture(scope="session")
def replay(request: pytest.FixtureRequest) -> "Callable[..., dict[str, PolicyResult]]":
    """
    Return a function from a labelled stream, a path relative to the root folder, to the results by policy id.

    Precision, recall, F1 and average precision of a result each have `value`, `lower` and `upper`, the ends of a 95 %
    interval. The model is WATCHWORD_MODEL's, in process. With `split`, only rows of that split count.
    """
    with warnings.catch_warnings():
        # Importing kafka-python warns about its own use of importlib.resources.
        warnings.simplefilter("ignore", DeprecationWarning)
        from pipeline.evaluation.datasets.labelled_stream import read_stream
        from pipeline.evaluation.replay.metrics import results
        from pipeline.operations.stream.replay import replay_stream
        from pipeline.operations.workbench import Workbench
        from pipeline.policies.load import load_policy_set
        from pipeline.settings import Settings, load_settings

    workbench = Workbench(load_settings(Settings), user=USER)
    root = request.config.rootpath
    policies = root / (request.config.getoption("--watchword-policies") or request.config.getini(POLICIES))
    known: dict[tuple[Path, str | None], dict[str, PolicyResult]] = {}

    def replayed(stream: str | Path, split: str | None = None) -> "dict[str, PolicyResult]":
        key = (root / stream, split)
        if key not in known:
            known[key] = results(replay_stream(workbench, read_stream(*key), load_policy_set(policies)))
        return known[key]

    return replayed
