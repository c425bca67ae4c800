"""Training of a bundle: train, export, compact and measure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle, Manifest
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.models.captions import Captions
from pipeline.models.compact import compact_bundle
from pipeline.models.training.card import Held, TextSource, card, pairs_card
from pipeline.models.training.distil import distil_text_tower
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.export import export_bundle
from pipeline.models.training.joint import train_towers
from pipeline.models.training.locked import tune_image_tower
from pipeline.models.training.pairs import train_pairs
from pipeline.models.training.ranks import leads
from pipeline.models.training.recipe import ImageRecipe, Schedule, TextRecipe
from pipeline.models.training.remove_common_direction import remove_common_direction
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.teacher import SentenceEncoder, installed_teacher
from pipeline.models.training.wordnet import installed_entries
from pipeline.models.whole_folder import whole_folder
from pipeline.progress import Progress

CARD = "CARD.md"
MEASURED = ("val", "test")


@dataclass(frozen=True)
class Plan:
    """The training runs that make a bundle. The run `text` is used only for the text source `sentences`."""

    source: TextSource
    image: ImageRecipe
    text: TextRecipe

    @property
    def minutes(self) -> float:
        """Total minutes of all runs."""
        return self.image.schedule.minutes + (self.text.schedule.minutes if self.source == "sentences" else 0)

    def within(self, minutes: float, ranks: int) -> "Plan":
        """Return the plan with the minutes of its runs scaled to a total of `minutes`."""
        ratio = minutes / self.minutes

        def fit(schedule: Schedule) -> Schedule:
            return replace(schedule, minutes=schedule.minutes * ratio, ranks=ranks)

        image = replace(self.image, schedule=fit(self.image.schedule))
        return replace(self, image=image, text=replace(self.text, schedule=fit(self.text.schedule)))

    def batched(self, batch: int | None, micro_batch: int) -> "Plan":
        """Return the plan with another batch size per rank, and another micro-batch size, for the image run."""
        schedule = replace(self.image.schedule, batch=batch or self.image.schedule.batch, micro_batch=micro_batch)
        return replace(self, image=replace(self.image, schedule=schedule))


BUNDLED: dict[TextSource, Plan] = {
    "captions": Plan("captions", ImageRecipe(schedule=Schedule(minutes=79)), TextRecipe()),
    # Few photographs: many small steps and a strong decay (Brigato et al. 2021).
    "sentences": Plan(
        "sentences", ImageRecipe(schedule=Schedule(minutes=65, batch=64, weight_decay=0.3)), TextRecipe()
    ),
    "pairs": Plan("pairs", ImageRecipe(schedule=Schedule(minutes=79)), TextRecipe()),
}


@dataclass(frozen=True)
class TrainingData:
    """The folder of photographs, the captions of their categories, and the folder of the runs' states."""

    photographs: Path
    captions: Captions
    runs: Path


@dataclass(frozen=True)
class TrainedBundle:
    """A trained bundle. `figures` are by split; there are none of pairs, which have no categories."""

    manifest: Manifest
    figures: Mapping[str, Held]


def train_bundle(
    data: TrainingData, folder: Path, *, name: str, plan: Plan, resume: bool, progress: Progress
) -> TrainedBundle | None:
    """
    Train as planned and write the bundle with its card to `folder`.

    Returns None on a rank that does not lead. Raises `UsageError`, before the training, when a split is missing.
    """
    model, tokenizer = _train(data, plan, resume=resume, progress=progress)
    if not leads():
        return None
    with whole_folder(folder) as new:
        with progress.working("exporting both towers"):
            export_bundle(model, tokenizer, new, name=name, image_size=plan.image.image_size)
            manifest = compact_bundle(new)
        figures = {} if plan.source == "pairs" else _measure(data, Bundle.load(new), progress)
        (new / CARD).write_text(_card(manifest, data, figures, plan))
    return TrainedBundle(manifest, figures)


def _train(data: TrainingData, plan: Plan, *, resume: bool, progress: Progress) -> tuple[DualEncoder, Tokenizer]:
    if plan.source == "pairs":
        return train_pairs(data.photographs, plan.image, data.runs / "pairs", resume=resume, progress=progress)
    for split in ("train", *MEASURED):
        read_labels(data.photographs / "labels.csv", split)
    if plan.source == "sentences":
        return _train_from_sentences(data, plan, resume=resume, progress=progress)
    return train_towers(
        data.photographs, data.captions, plan.image, data.runs / "towers", resume=resume, progress=progress
    )


def _train_from_sentences(
    data: TrainingData, plan: Plan, *, resume: bool, progress: Progress
) -> tuple[DualEncoder, Tokenizer]:
    captions, entries = data.captions, installed_entries()
    teacher = SentenceEncoder(installed_teacher(), progress)
    space = SentenceSpace.fit(teacher, entries, captions, plan.image.dimension)
    text, tokenizer = distil_text_tower(
        space, entries, captions, plan.text, data.runs / "text", resume=resume, progress=progress
    )
    image, log_scale = tune_image_tower(
        data.photographs, captions, space, plan.image, data.runs / "image", resume=resume, progress=progress
    )
    model = DualEncoder(image, text)
    model.log_scale.data.fill_(log_scale)
    plain = [text for each in captions.categories for text in captions.plain(each)]
    remove_common_direction(model, space.embed(plain))
    return model.eval(), tokenizer


def _measure(data: TrainingData, bundle: Bundle, progress: Progress) -> dict[str, Held]:
    return {split: Held.measure(data.photographs, bundle, data.captions, split, progress) for split in MEASURED}


def _card(manifest: Manifest, data: TrainingData, figures: Mapping[str, Held], plan: Plan) -> str:
    if plan.source == "pairs":
        return pairs_card(manifest, {"image": plan.image})
    runs: dict[str, ImageRecipe | TextRecipe] = {"image": plan.image}
    if plan.source == "sentences":
        runs = {"text": plan.text, **runs}
    return card(manifest, data.captions, figures, plan.source, runs, data=data.photographs)
