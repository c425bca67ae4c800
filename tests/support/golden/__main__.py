"""
`python -m tests.support.golden write` rewrites the recorded outside after an intended change: review its diff.

`python -m tests.support.golden capture` records a run on a real stack again, which takes a minute.
"""

import argparse

from tests.support.golden.capture import capture
from tests.support.golden.files import write_facts, write_lines
from tests.support.golden.metrics import metrics
from tests.support.golden.surface import commands, exit_codes, settings
from tests.support.golden.written import written


def write() -> None:
    for name, facts in (
        ("commands", commands),
        ("settings", settings),
        ("metrics", metrics),
        ("exit_codes", exit_codes),
    ):
        write_facts(name, facts())
    for name, lines in written().items():
        write_lines(name, lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.support.golden", description=__doc__)
    parser.add_argument("what", choices=("write", "capture"))
    {"write": write, "capture": capture}[parser.parse_args().what]()
