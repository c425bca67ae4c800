"""Train, export and measure in one go: how a bundled model is made."""

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.models.captions import Captions
from pipeline.models.compact import compact_bundle
from pipeline.models.training.card import Held, TextSource, card, pairs_card
from pipeline.models.training.common import take_out_common
from pipeline.models.training.distil import distil_text_tower
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.export import export_bundle
from pipeline.models.training.joint import train_towers
from pipeline.models.training.locked import tune_image_tower
from pipeline.models.training.pairs import train_pairs
from pipeline.models.training.recipe import ImageRecipe, Schedule, TextRecipe
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.teacher import SentenceEncoder, installed_teacher
from pipeline.models.training.train import leads
from pipeline.models.training.wordnet import installed_entries
from pipeline.models.whole_folder import whole_folder

CARD = "CARD.md"
MEASURED = ("val", "test")


@dataclass(frozen=True)
class Plan:
    """The runs that make a bundle. `text` is not used when both towers learn from captions."""

    source: TextSource
    image: ImageRecipe
    text: TextRecipe

    @property
    def minutes(self) -> float:
        """How long all runs take together."""
        return self.image.schedule.minutes + (self.text.schedule.minutes if self.source == "sentences" else 0)

    def within(self, minutes: float, ranks: int) -> "Plan":
        """Return the plan with every run's time changed in the same ratio."""
        ratio = minutes / self.minutes

        def fit(schedule: Schedule) -> Schedule:
            return replace(schedule, minutes=schedule.minutes * ratio, ranks=ranks)

        image = replace(self.image, schedule=fit(self.image.schedule))
        return replace(self, image=image, text=replace(self.text, schedule=fit(self.text.schedule)))

    def batched(self, batch: int | None, micro_batch: int) -> "Plan":
        """Return the plan with the image run's batch a rank, and how many of it are computed at once."""
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


def train_bundle(
    data: Path, captions: Captions, folder: Path, run: Path, *, name: str, plan: Plan, resume: bool = False
) -> None:
    """
    Train on `data` as planned, write the bundle with its card, and say how good it is.

    Raises `UsageError` before anything is trained when a split that is needed is missing.
    """
    if plan.source == "pairs":
        model, tokenizer = train_pairs(data, plan.image, run / "pairs", resume=resume)
    else:
        for split in ("train", *MEASURED):
            read_labels(data / "labels.csv", split)
        make = _from_sentences if plan.source == "sentences" else _from_captions
        model, tokenizer = make(data, captions, run, plan, resume=resume)
    if not leads():
        return
    with whole_folder(folder) as made:
        _write(model, tokenizer, made, data, captions, name=name, plan=plan)


def _write(
    model: DualEncoder, tokenizer: Tokenizer, folder: Path, data: Path, captions: Captions, *, name: str, plan: Plan
) -> None:
    export_bundle(model, tokenizer, folder, name=name, image_size=plan.image.image_size)
    manifest = compact_bundle(folder)
    bundle = Bundle.load(folder)
    runs: dict[str, ImageRecipe | TextRecipe] = {"image": plan.image}
    if plan.source == "sentences":
        runs = {"text": plan.text, **runs}
    if plan.source == "pairs":
        (folder / CARD).write_text(pairs_card(manifest, runs))
        return
    held = {split: Held.measure(data, bundle, captions, split) for split in MEASURED}
    (folder / CARD).write_text(card(manifest, captions, held, plan.source, runs, data=data))
    for split, each in held.items():
        Console(stderr=True).print(f"{split}: {each.line()}")


def _from_captions(
    data: Path, captions: Captions, run: Path, plan: Plan, *, resume: bool
) -> tuple[DualEncoder, Tokenizer]:
    return train_towers(data, captions, plan.image, run / "towers", resume=resume)


def _from_sentences(
    data: Path, captions: Captions, run: Path, plan: Plan, *, resume: bool
) -> tuple[DualEncoder, Tokenizer]:
    entries = installed_entries()
    space = SentenceSpace.fit(SentenceEncoder(installed_teacher()), entries, captions, plan.image.dimension)
    text, tokenizer = distil_text_tower(space, entries, captions, plan.text, run / "text", resume=resume)
    image, log_scale = tune_image_tower(data, captions, space, plan.image, run / "image", resume=resume)
    model = DualEncoder(image, text)
    model.log_scale.data.fill_(log_scale)
    take_out_common(model, space.embed([text for each in captions.categories for text in captions.plain(each)]))
    return model.eval(), tokenizer
