"""Training of a model bundle on labelled photographs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import UsageError
from pipeline.extras import models_extra
from pipeline.models.whole_folder import require_new_folder
from pipeline.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from pipeline.models.training.bundled import Plan

# The types of `pipeline.models`, which is imported late because it needs torch.
TextSource = Literal["captions", "sentences", "pairs"]


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """
    A training: the photographs, the source of the text tower, and the new bundle.

    `data` has a labels.csv; `runs` is the folder of the runs' states, from which an interrupted run continues with
    `resume`. `minutes` is processor time of a rank. None stands for the shipped captions, the plan's minutes and batch,
    and the name of the bundle's folder.
    """

    data: Path
    bundle: Path
    runs: Path
    text: TextSource = "captions"
    captions: Path | None = None
    minutes: float | None = None
    ranks: int = 2
    batch: int | None = None
    micro_batch: int = 0
    name: str | None = None
    resume: bool = False

    def check(self) -> None:
        """Raise `UsageError` for a folder that is in use, and for options that the text source does not support."""
        require_new_folder(self.bundle)
        if self.micro_batch and self.text != "pairs":
            raise UsageError("`--micro-batch` is for `--text pairs`")
        if self.captions and self.text == "pairs":
            raise UsageError("`--captions` is not for `--text pairs`: its captions are in labels.csv")


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The digest of a trained bundle, and a line of figures for each split that was measured."""

    digest: str
    figures: Mapping[str, str]


def train_model(request: TrainingRequest, progress: Progress = NO_PROGRESS) -> TrainedModel | None:
    """
    Train a CLIP and write a bundle with its card.

    Returns None in a process of `torchrun` that does not write the bundle. Raises `UsageError` for unusable data, and
    `RecordFault` for a photograph that cannot be decoded.
    """
    with models_extra():
        from pipeline.models.captions import BUNDLED_TABLE, Captions
        from pipeline.models.training.bundled import TrainingData, train_bundle

    request.check()
    data = TrainingData(request.data, Captions.load(request.captions or BUNDLED_TABLE), request.runs)
    name = request.name or request.bundle.name
    trained = train_bundle(
        data, request.bundle, name=name, plan=_plan(request), resume=request.resume, progress=progress
    )
    if trained is None:
        return None
    return TrainedModel(trained.manifest.digest, {split: held.line() for split, held in trained.figures.items()})


def _plan(request: TrainingRequest) -> "Plan":
    from pipeline.models.training.bundled import BUNDLED
    from pipeline.models.training.ranks import count_ranks

    plan = BUNDLED[request.text]
    plan = plan.within(request.minutes or plan.minutes, count_ranks(request.ranks))
    return plan.batched(request.batch, request.micro_batch)
