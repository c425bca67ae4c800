"""Train, export and measure in one go: how a bundled model is made."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from tokenizers import Tokenizer

from pipeline.encode.bundle import Bundle, Manifest
from pipeline.models.captions import Captions
from pipeline.models.evaluation.zero_shot import Figures, measure
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

NOTICE = """Caltech-101, Li, Andreetto, Ranzato and Perona (2022), CaltechDATA record mzrjq-6wc02, CC BY 4.0.
An excerpt of 99 categories, without the two face categories and the background category."""

# What the text tower learns from: photographs and captions alone, or a sentence encoder as well.
TextSource = Literal["captions", "sentences", "pairs"]


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
    "sentences": Plan("sentences", ImageRecipe(schedule=Schedule(minutes=60)), TextRecipe()),
    "pairs": Plan("pairs", ImageRecipe(schedule=Schedule(minutes=79)), TextRecipe()),
}


def train_bundle(
    data: Path, captions: Captions, folder: Path, run: Path, *, name: str, plan: Plan, resume: bool = False
) -> None:
    """Train on `data` as planned, write the bundle with its card, and say how good it is."""
    if plan.source == "pairs":
        model, tokenizer = train_pairs(data, plan.image, run / "pairs", resume=resume)
    else:
        make = _from_sentences if plan.source == "sentences" else _from_captions
        model, tokenizer = make(data, captions, run, plan, resume=resume)
    if not leads():
        return
    manifest = export_bundle(model, tokenizer, folder, name=name, image_size=plan.image.image_size)
    bundle = Bundle.load(folder)
    if plan.source == "pairs":
        (folder / "CARD.md").write_text(_PAIRS_CARD.format(name=manifest.name, runs=_runs(plan)))
        return
    figures = {split: measure(data, bundle, captions, split) for split in ("val", "test")}
    (folder / "CARD.md").write_text(_card(manifest, captions, figures, plan))
    for split, each in figures.items():
        Console(stderr=True).print(f"{split}: top-1 {each.top1:.3f}, mean average precision {each.mean_ap:.3f}")


def _from_captions(
    data: Path, captions: Captions, run: Path, plan: Plan, *, resume: bool
) -> tuple[DualEncoder, Tokenizer]:
    return train_towers(data, captions, plan.image, run / "towers", resume=resume)


def _from_sentences(
    data: Path, captions: Captions, run: Path, plan: Plan, *, resume: bool
) -> tuple[DualEncoder, Tokenizer]:
    space = SentenceSpace.fit(SentenceEncoder(installed_teacher()), captions, plan.image.dimension)
    text, tokenizer = distil_text_tower(space, captions, plan.text, run / "text", resume=resume)
    image, log_scale = tune_image_tower(data, captions, space.embed, plan.image, run / "image", resume=resume)
    model = DualEncoder(image, text)
    model.log_scale.data.fill_(log_scale)
    return model.eval(), tokenizer


_PAIRS_CARD = """# {name}

Both towers trained together from scratch, on images and captions of their own, by the symmetric contrastive loss
(Radford et al. 2021). `watchword models evaluate` measures it; say here on what, and what it cannot do.

## Made by

`watchword models train --text pairs`:

{runs}
"""

_ORIGINS: dict[TextSource, str] = {
    "captions": """trained together from scratch by the symmetric contrastive loss (Radford et al. 2021)""",
    "sentences": """trained apart: the text tower distilled from all-MiniLM-L6-v2 (a sentence encoder,
Apache-2.0 by its card), the image tower tuned to that encoder's vectors (locked-text tuning, Zhai et al. 2022)""",
}
_LIMITS: dict[TextSource, str] = {
    "captions": """It has seen {count} kinds of things and the words of their captions, nothing else. A prompt with
other words gets a vector, but not a meaningful one.""",
    "sentences": """Its photographs show {count} kinds of things and nothing else. Its text tower has learnt what words
mean from a sentence encoder, and with it that encoder's biases; what no photograph showed it can name but not see.""",
}


def _card(manifest: Manifest, captions: Captions, figures: dict[str, Figures], plan: Plan) -> str:
    rows = "\n".join(f"| {split} | {f.images} | {f.top1:.3f} | {f.mean_ap:.3f} |" for split, f in figures.items())
    worst = ", ".join(f"{category} {ap:.2f}" for category, ap in figures["val"].worst)
    count = len(captions.categories)
    return f"""# {manifest.name}

A small CLIP: an image tower (SE-ResNet, {manifest.image_size} px) and a text tower (transformer),
{_ORIGINS[plan.source]},
so that photographs and sentences share one space of {manifest.dimension} dimensions. It is here so that the pipeline
runs and is tested on a real model; it is not fit to moderate anyone's uploads.

## Figures, as shipped

| split | images | zero-shot top-1 ({count} categories) | mean average precision |
| --- | --- | --- | --- |
{rows}

Average precision is that of each category's plain name as a text policy, over all images of the split.
Nothing was trained, tuned or chosen on `test`. The lowest average precisions on `val`: {worst}.

## Data

{NOTICE} Trained on the split `train`, with captions made from
names, synonyms and groups of the categories in {len(captions.templates)} templates.

## What it cannot do

{_LIMITS[plan.source].format(count=count)} It has seen no people. Photographs of one category in Caltech-101
resemble each other in background, pose and framing more than photographs in the wild do, so its figures flatter it.

## Made by

`watchword models train --text {plan.source}` on two cores:

{_runs(plan)}
"""


def _runs(plan: Plan) -> str:
    runs = {"image": asdict(plan.image)}
    if plan.source == "sentences":
        runs = {"text": asdict(plan.text), **runs}
    return "\n".join(f"- {name}: {_flat(recipe)}" for name, recipe in runs.items())


def _flat(settings: dict[str, Any]) -> str:
    schedule = settings.pop("schedule")
    return ", ".join(f"{key} {value}" for key, value in {**schedule, **settings}.items())
