"""A control topic in memory, and a workbench whose releases come from it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipeline.encode.local import LocalEncoder
from pipeline.events.policies import PolicySet
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import read_folder
from pipeline.policies.resolve import resolve_documents
from pipeline.progress import NoProgress
from pipeline.releases import current
from pipeline.releases.control_topic import ControlTopic, ReleaseRequest
from pipeline.settings import Settings, load_settings


class Notices(NoProgress):
    """Keeps the notices of operations."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notify(self, message: str) -> None:
        self.messages.append(message)


def control_with(*sets: PolicySet, canary: PolicySet | None = None) -> ControlTopic:
    """Return the content of a control topic with a release of each set; the last one may have a canary."""
    control = ControlTopic()
    for version, policy_set in enumerate(sets):
        last = version == len(sets) - 1
        request = ReleaseRequest(policy_set, version, "ana", canary=canary if last else None, canary_share=0.25)
        release = request.release()
        control.sets |= {key.removeprefix("set/"): value for key, value in request.sets().items()}
        control.releases[release.version] = control.current = release
    return control


def serve(monkeypatch: pytest.MonkeyPatch, control: ControlTopic) -> None:
    """Let every release of this process be read from `control`."""
    monkeypatch.setenv("WATCHWORD_POLICY_SOURCE", "topic")
    monkeypatch.setattr(current, "ensure_topics", lambda *_: None)
    monkeypatch.setattr(current, "read_published", lambda *_: control)


def make_workbench(encoder: LocalEncoder, notices: Notices | None = None) -> Workbench:
    """Return a workbench of the environment's settings, with an encoder that is loaded already."""
    workbench = Workbench(load_settings(Settings), user="ana", progress=notices or NoProgress())
    workbench.encoder = encoder
    return workbench


@contextmanager
def counted_readings() -> Iterator[Counter[str]]:
    """Count how often each folder is read, by its path, and under `resolve` how often files are resolved."""
    counts: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is read_folder.__code__:
            counts[str(frame.f_locals["folder"])] += 1
        if event == "call" and frame.f_code is resolve_documents.__code__:
            counts["resolve"] += 1

    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def with_mode(folder: Path, mode: str, files: Sequence[str]) -> None:
    """Set the mode of policies in a folder."""
    for name in files:
        file = folder / name
        lines = [line for line in file.read_text().splitlines() if not line.startswith("mode:")]
        file.write_text("\n".join([*lines, f"mode: {mode}"]) + "\n")
