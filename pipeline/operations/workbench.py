"""Workbench: the parts that operations need, made from the settings when they are first used."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.broker.configured import connection_of
from pipeline.broker.connection import Connection
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.evaluation.offline.scan import Outcome, scan
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import PolicySet, PromptBank
from pipeline.events.records import Record
from pipeline.extras import models_extra
from pipeline.ingest.decoder import build_decoder
from pipeline.ingest.folder import as_unreadable
from pipeline.judge.score import Judge
from pipeline.operations.access_log import AccessLog
from pipeline.progress import NO_PROGRESS, Progress
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.archive.dataset import Archive

SourceT = TypeVar("SourceT")


class Workbench:
    """
    The parts that operations work with, from one `Settings`: model, encoders, judges, archive, broker and access log.

    `user` is the person who runs the operation. `model` is the folder of a bundle to use instead of the settings' one.
    Used by one thread.
    """

    def __init__(
        self, settings: Settings, *, user: str, progress: Progress = NO_PROGRESS, model: Path | None = None
    ) -> None:
        self.settings = settings
        self.user = user
        self.progress = progress
        self.access = AccessLog(user, settings.access_log)
        self._model = model or settings.model

    def with_model(self, model: Path | None) -> "Workbench":
        """Return a workbench with another model bundle, or itself if `model` is None."""
        if model is None:
            return self
        return Workbench(self.settings, user=self.user, progress=self.progress, model=model)

    @cached_property
    def bundle(self) -> Bundle:
        """The model bundle. Raises `UsageError` when it cannot be loaded."""
        return Bundle.load(self._model)

    @cached_property
    def encoder(self) -> LocalEncoder:
        """Both towers of the bundle, in this process."""
        with self.progress.working("loading the model"):
            return LocalEncoder(self.bundle)

    @cached_property
    def texts(self) -> CachedTextEncoder:
        """The text tower, which encodes each text once."""
        return CachedTextEncoder(self.encoder)

    @cached_property
    def archive(self) -> "Archive":
        """The archive of embeddings. Raises `UsageError` when the extra `archive` is not installed."""
        with models_extra("archive"):
            from pipeline.archive.dataset import Archive
        return Archive(self.settings.archive, self.settings.archive_options)

    @cached_property
    def connection(self) -> Connection:
        """The address and credentials of the broker; nothing is connected yet."""
        return connection_of(self.settings)

    def bank(self, policy_set: PolicySet) -> PromptBank:
        """Return the prompt bank of a policy set, encoded by this model."""
        texts = self.texts
        with self.progress.working("encoding the policies' texts"):
            return build_prompt_bank(policy_set, texts)

    def judge(self, policy_set: PolicySet) -> Judge:
        """Return the judge of a policy set under this model."""
        return Judge(self.bank(policy_set))

    def outcomes(
        self, bank: PromptBank, sources: Sequence[SourceT], read: Callable[..., Iterator[Record]]
    ) -> Iterator[Outcome]:
        """
        Judge images in this process, with the steps of a worker; yield one outcome for each source, in order.

        `read` turns `sources` (files or events) into records whose values have at most `max_bytes` bytes.
        """
        outcomes = scan(
            read(sources, max_bytes=self.settings.max_image_bytes),
            decoder=build_decoder(self.settings, self.bundle.pixels),
            encoder=self.encoder,
            judge=Judge(bank),
            batch_size=self.settings.batch_size,
            threads=os.cpu_count() or 1,
        )
        for outcome in self.progress.track(outcomes, "judging", len(sources)):
            yield as_unreadable(outcome) if isinstance(outcome, DeadLetter) else outcome
