"""
Attack what people and topics hand to the ground rooms: policy folders, published sets, bundles, archive rows, labels.

`python -m tests.attack.policy_folders [--quick]`. Each attack runs in a child process with limits. Bars: the error that
the reader promises, for a folder with a place for each mistake, or acceptance of what is in fact fine; at most 2 s of
processor time and 200 MB; no other exception, no hang. Nothing here sends or fetches anything.
"""

import re
import sys
from collections.abc import Callable

from pipeline.errors import ArchiveError, BundleError, PolicyError, UsageError
from tests.attack.children import run_attacks
from tests.attack.hostile_bundles import hostile_bundles
from tests.attack.hostile_folders import hostile_folders
from tests.attack.hostile_records import hostile_decisions, hostile_labels, hostile_rows
from tests.attack.hostile_sets import hostile_sets

_QUICK_EVERY = 6
_PLACE = re.compile(r"^.+:\d+:\d+: ")
_OF_A_FOLDER = re.compile("^(`.*`: |… and |too many mistakes |.*: … and )")


def attack_policy_folders(quick: bool, say: Callable[[str], None]) -> bool:  # noqa: FBT001 -- the harness' own flag
    """Run every attack, or a share of them, and tell whether all bars hold."""
    step = _QUICK_EVERY if quick else 1
    held = [
        run_attacks("policy folders", hostile_folders()[::step], PolicyError, say, _has_places),
        run_attacks("published sets", hostile_sets()[::step], PolicyError, say),
        run_attacks("bundles", hostile_bundles()[::step], BundleError, say),
        run_attacks("archive rows", hostile_rows()[::step], ArchiveError, say, lambda told: told.startswith("t/0/7 ")),
        run_attacks("labels", hostile_labels()[::step], UsageError, say),
        run_attacks("decisions", hostile_decisions()[::step], UsageError, say),
    ]
    return all(held)


def _has_places(message: str) -> bool:
    """Tell whether every mistake of a report has its place, and nothing in it steers a terminal."""
    if any(not (character.isprintable() or character in "\n\t") for character in message):
        return False
    return all(_PLACE.match(part) or _OF_A_FOLDER.match(part) for part in message.split("\n\n"))


if __name__ == "__main__":
    sys.exit(0 if attack_policy_folders("--quick" in sys.argv[1:], print) else 1)
