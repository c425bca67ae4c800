"""Train, export and measure in one go: how the bundled model was made."""

from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from pipeline.encode.bundle import Bundle, Manifest
from pipeline.models.captions import BUNDLED_TABLE, Captions
from pipeline.models.export import export_bundle
from pipeline.models.measure import Figures, measure
from pipeline.models.train import Recipe, train

NOTICE = """Caltech-101, Li, Andreetto, Ranzato and Perona (2022), CaltechDATA record mzrjq-6wc02, CC BY 4.0.
An excerpt of 99 categories, without the two face categories and the background category."""


# The bundled model was trained in two runs: the second goes on from the first's weights, at full size, mixed less.
STAGES = (
    Recipe(minutes=34, batch=96, learning_rate=2e-3, warmup_share=0.05),
    Recipe(
        minutes=45,
        batch=96,
        learning_rate=1.5e-3,
        warmup_share=0.03,
        resolutions=(96,),
        smallest_area=0.35,
        mix_probability=0.4,
        seed=11,
    ),
)


def train_bundle(data: Path, folder: Path, run: Path, *, name: str, minutes: float | None, ranks: int) -> None:
    """Train on `data` in the bundled model's stages, write the bundle with its card, and say how good it is."""
    captions = Captions.load(BUNDLED_TABLE)
    share = minutes / sum(stage.minutes for stage in STAGES) if minutes else 1.0
    start_from: Path | None = None
    for number, stage in enumerate(STAGES, 1):
        place = run / f"stage-{number}"
        train(data, captions, replace(stage, minutes=stage.minutes * share, ranks=ranks), place, start_from=start_from)
        start_from = place
    finish_bundle(data, folder, place, name=name)


def finish_bundle(data: Path, folder: Path, run: Path, *, name: str) -> None:
    """Write the bundle of a finished run, measured as shipped."""
    captions = Captions.load(BUNDLED_TABLE)
    manifest = export_bundle(run, folder, name)
    bundle = Bundle.load(folder)
    figures = {split: measure(data, bundle, captions, split) for split in ("val", "test")}
    (folder / "CARD.md").write_text(_card(manifest, captions, figures))
    for split, each in figures.items():
        Console(stderr=True).print(f"{split}: top-1 {each.top1:.3f}, mean average precision {each.mean_ap:.3f}")


def _card(manifest: Manifest, captions: Captions, figures: dict[str, Figures]) -> str:
    rows = "\n".join(f"| {split} | {f.images} | {f.top1:.3f} | {f.mean_ap:.3f} |" for split, f in figures.items())
    worst = ", ".join(f"{category} {ap:.2f}" for category, ap in figures["val"].worst)
    runs = "\n".join(f"- {', '.join(f'{key} {value}' for key, value in asdict(stage).items())}" for stage in STAGES)
    count = len(captions.categories)
    return f"""# {manifest.name}

A small CLIP: an image tower (SE-ResNet, {manifest.image_size} px) and a text tower (transformer over byte-pair tokens),
trained together from scratch by the symmetric contrastive loss, so that photographs and sentences share one space of
{manifest.dimension} dimensions. It is here so that the pipeline runs and is tested on a real model; it is not fit to
moderate anyone's uploads.

## Figures, as shipped

| split | images | zero-shot top-1 ({count} categories) | mean average precision |
| --- | --- | --- | --- |
{rows}

Average precision is that of each category's plain name as a text policy, over all images of the split.
Nothing was trained, tuned or chosen on `test`. The lowest average precisions on `val`: {worst}.

## Data

{NOTICE} Trained on the split `train`
(3,449 photographs), with captions made from names, synonyms and groups of the categories in sixteen templates.

## What it cannot do

It has seen {count} kinds of things and the words of their captions, nothing else. A prompt with other
words gets a vector, but not a meaningful one. It has seen no people. Photographs of one category in Caltech-101
resemble each other in background, pose and framing more than photographs in the wild do, so its figures flatter it.

## Made by

`watchword models train`, in two runs on two cores, the second from the weights of the first:

{runs}
"""
