"""Which tests pytest-xdist keeps in one process."""

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Modules whose tests share a costly fixture or the embeddings of the same photographs, by the name of their group.
GROUPS = {
    "test_calibrate.py": "calibrate",
    "test_compare.py": "compare",
    "test_dashboards.py": "dashboards",
    "test_engines.py": "shipped model",
    "test_evaluation.py": "evaluation",
    "test_figures.py": "shipped model",
    "test_importing.py": "importing",
    "test_label_page.py": "label page",
    "test_replay.py": "replay",
    "test_replay_kafka.py": "shipped model",
    "test_replay_page.py": "replay page",
    "test_report.py": "report",
    "test_rights.py": "secure kafka",
    "test_search_and_sweep.py": "search",
    "test_secure_kafka.py": "secure kafka",
    "test_secure_triton.py": "secure triton",
}


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """Give a group's tests to one process, and every other test to the next process that is free."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(PurePath(nodeid.split("::", maxsplit=1)[0]).name, nodeid)
