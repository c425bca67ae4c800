"""Entry point of the public API: operations with one model, one archive and one broker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import PolicySet
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.verdict import VerdictRecord
from pipeline.extras import models_extra
from pipeline.operations.images.contents import embed_contents, scan_contents
from pipeline.operations.images.embedding import EmbeddedFiles, embed_images
from pipeline.operations.images.ranking import Ranking, search_files
from pipeline.operations.images.scan import scan_files
from pipeline.operations.stream.read import DEAD_LETTERS, FLAGS, VERDICTS, OutcomeQuery, read_outcomes
from pipeline.operations.workbench import Workbench
from pipeline.progress import Progress
from pipeline.releases.current import resolve_policy_set
from pipeline.settings import Settings, load_settings
from pipeline.user import user_name
from watchword._notices import WarnOfNotices
from watchword._scan import ScanResult

if TYPE_CHECKING:
    from pipeline.operations.images.search_archive import ArchiveSearch
    from pipeline.operations.policies.backtest import BacktestResult

PathLike = str | Path


class Watchword:
    """
    Operations on images, an archive and a stream, with the model, the archive and the broker that the settings name.

    Settings are read from the environment (`WATCHWORD_…`) once, and each argument overrides one of them: `model`, the
    folder of a bundle (by default the one that ships); `archive`, a folder or an address; `policies`, the folder of the
    active policies, by which searches withhold restricted images; `bootstrap_servers`, `host:port` of the broker.
    `progress` observes long work; without one, notices become warnings of the category `watchword.Notice`.

    Parts are opened when they are first needed. Used by one thread. Every method raises `WatchwordError`.
    """

    def __init__(
        self,
        *,
        model: PathLike | None = None,
        archive: PathLike | None = None,
        policies: PathLike | None = None,
        bootstrap_servers: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        given = {
            "model": None if model is None else Path(model),
            "archive": None if archive is None else str(archive),
            "policies": None if policies is None else Path(policies),
            "bootstrap_servers": bootstrap_servers,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        settings = load_settings(Settings).model_copy(update=changed)
        self._workbench = Workbench(settings, user=user_name(), progress=progress or WarnOfNotices())

    @property
    def model_digest(self) -> str:
        """Digest of the model bundle."""
        return self._workbench.bundle.digest

    def policy_set(self, name: str = "current") -> PolicySet:
        """Return the active policy set (`current`), or a published one by its version or digest."""
        return resolve_policy_set(name, self._workbench.settings, self._workbench.progress)

    def scan(self, paths: PathLike | Iterable[PathLike], policies: PolicySet) -> Iterator[ScanResult]:
        """Judge files, and the images of folders at any depth; yield one result for each, in order."""
        yield from map(ScanResult.of, scan_files(self._workbench, _paths(paths), policies).results)

    def scan_bytes(self, images: Mapping[str, bytes], policies: PolicySet) -> Iterator[ScanResult]:
        """Judge images by name, for example downloads; yield one result for each, in order."""
        yield from map(ScanResult.of, scan_contents(self._workbench, images, policies))

    def embed_files(self, paths: PathLike | Iterable[PathLike]) -> EmbeddedFiles:
        """Embed files, and all files in folders at any depth; an unreadable file is left out, with a notice."""
        return embed_images(self._workbench, _paths(paths), "embedding")

    def embed_bytes(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Return embeddings of N images, float32 [N, D], unit length."""
        return embed_contents(self._workbench, images)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings of N texts without any template, float32 [N, D], unit length."""
        return self._workbench.texts.encode_texts(texts)

    def search_files(self, paths: PathLike | Iterable[PathLike], text: str, *, top: int = 20) -> Ranking:
        """Return the files nearest to a sentence by cosine, the nearest first."""
        return search_files(self._workbench, _paths(paths), text, top=top)

    def search(self, query: str | Path, *, since: datetime | None = None, top: int = 20) -> "ArchiveSearch":
        """Return the archived images nearest to a sentence (`str`), or to the image in a file (`Path`)."""
        with models_extra("archive"):
            from pipeline.operations.images.search_archive import search_archive
        return search_archive(self._workbench, query, since=since, top=top)

    def backtest(
        self, before: PolicySet, after: PolicySet, *, since: datetime, share: float | None = None, seed: int = 1
    ) -> "BacktestResult":
        """Judge images archived since a time with both sets; with `share` (0 < share <= 1), a random sample of them."""
        with models_extra("archive"):
            from pipeline.operations.policies.backtest import BacktestRequest, BacktestRun
        run = BacktestRun(self._workbench, BacktestRequest(before, after, since))
        return run.whole() if share is None else run.sample(share, seed=seed)

    def flags(
        self, *, policy: str | None = None, since: datetime | None = None, follow: bool = False
    ) -> Iterator[FlagRecord]:
        """Yield the stream's flags; with `follow`, continue with new flags as they arrive."""
        query = OutcomeQuery(FLAGS, policy, since, follow)
        yield from map(FlagRecord.parse, read_outcomes(self._workbench, query))

    def verdicts(
        self, *, policy: str | None = None, since: datetime | None = None, follow: bool = False
    ) -> Iterator[VerdictRecord]:
        """Yield the stream's verdicts; with `policy`, those in which it says yes."""
        query = OutcomeQuery(VERDICTS, policy, since, follow)
        yield from map(VerdictRecord.parse, read_outcomes(self._workbench, query))

    def dead_letters(self, *, since: datetime | None = None, follow: bool = False) -> Iterator[DeadLetterRecord]:
        """Yield the stream's dead letters, each with the record it keeps."""
        query = OutcomeQuery(DEAD_LETTERS, None, since, follow)
        yield from map(DeadLetterRecord.parse, read_outcomes(self._workbench, query))


def _paths(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, PathLike) else [Path(path) for path in paths]
