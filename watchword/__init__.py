"""
Watchword in Python: judge, embed and search images, back-test policies, read a stream's outcomes.

    import watchword

    policies = watchword.load_policies("policies")
    for result in watchword.Watchword().scan("photos", policies):
        print(result.path, result.flags)

The names in `__all__` are the public API, together with those of `watchword.archive`, which needs the extra `archive`.
Each is imported when it is first used, so `import watchword` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.errors import PolicyError, UsageError, WatchwordError
    from pipeline.events.policies import Policy, PolicySet
    from pipeline.events.wire.dead_letter import DeadLetterRecord
    from pipeline.events.wire.flag import FlagRecord
    from pipeline.events.wire.verdict import VerdictRecord
    from pipeline.operations.images.embedding import EmbeddedFiles
    from pipeline.operations.images.ranking import Ranking
    from watchword._notices import Notice
    from watchword._policies import load_policies
    from watchword._scan import ScanResult
    from watchword._watchword import Watchword

_MODULES = {
    "DeadLetterRecord": "pipeline.events.wire.dead_letter",
    "EmbeddedFiles": "pipeline.operations.images.embedding",
    "FlagRecord": "pipeline.events.wire.flag",
    "Notice": "watchword._notices",
    "Policy": "pipeline.events.policies",
    "PolicyError": "pipeline.errors",
    "PolicySet": "pipeline.events.policies",
    "Ranking": "pipeline.operations.images.ranking",
    "ScanResult": "watchword._scan",
    "UsageError": "pipeline.errors",
    "VerdictRecord": "pipeline.events.wire.verdict",
    "Watchword": "watchword._watchword",
    "WatchwordError": "pipeline.errors",
    "load_policies": "watchword._policies",
}

__all__ = [
    "DeadLetterRecord",
    "EmbeddedFiles",
    "FlagRecord",
    "Notice",
    "Policy",
    "PolicyError",
    "PolicySet",
    "Ranking",
    "ScanResult",
    "UsageError",
    "VerdictRecord",
    "Watchword",
    "WatchwordError",
    "load_policies",
]


if not TYPE_CHECKING:  # a type checker would take every name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
