"""Transitional: what commands shared before there were operations."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.progress import track

from pipeline.cli.console import progress_output
from pipeline.cli.session import user_name
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.offline.scan import Outcome, scan
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import Policy, PolicySet, PromptBank
from pipeline.events.records import Record
from pipeline.ingest.decoder import build_decoder
from pipeline.ingest.folder import as_unreadable
from pipeline.judge.score import Judge
from pipeline.operations.access_log import AccessLog
from pipeline.settings import Settings, load_settings

EventT = TypeVar("EventT")


class InProcess:
    """The model of the settings with one policy set."""

    def __init__(self, policy_set: PolicySet) -> None:
        self._settings = load_settings(Settings)
        self._bundle = Bundle.load(self._settings.model)
        self._encoder = LocalEncoder(self._bundle)
        self.bank: PromptBank = build_prompt_bank(policy_set, self._encoder)

    def outcomes(self, given: Sequence[EventT], read: Callable[..., Iterator[Record]]) -> Iterator[Outcome]:
        """Yield one outcome each, in order, with progress; `read` makes records of `given` up to `max_bytes`."""
        settings = self._settings
        found = scan(
            read(given, max_bytes=settings.max_image_bytes),
            decoder=build_decoder(settings, self._bundle.pixels),
            encoder=self._encoder,
            judge=Judge(self.bank),
            batch_size=settings.batch_size,
            threads=os.cpu_count() or 1,
        )
        for outcome in track(found, "judging", total=len(given), console=progress_output(), transient=True):
            yield as_unreadable(outcome) if isinstance(outcome, DeadLetter) else outcome


def note_access(policies: Iterable[Policy], command: str) -> frozenset[str]:
    """Record an access by the settings."""
    return AccessLog(user_name(), load_settings(Settings).access_log).note(policies, command)
