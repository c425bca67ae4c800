"""The card of a bundle trained here: its origin, its figures and its limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.encode.bundle import Bundle, Manifest
from pipeline.models.captions import BUNDLED_PARAPHRASES, BUNDLED_TABLE, Captions
from pipeline.models.evaluation.subject import Subject
from pipeline.models.evaluation.zero_shot import Figures, paraphrases, zero_shot
from pipeline.models.text_tables import read_table, texts_by_key
from pipeline.models.training.recipe import ImageRecipe, TextRecipe
from pipeline.progress import NO_PROGRESS, Progress

# The source of the text tower: the caption table, a sentence encoder, or the captions of each image.
TextSource = Literal["captions", "sentences", "pairs"]

# Facts about the data of the bundled model. Facts about other data are known only to the people who train on it.
_BUNDLED_DATA = """Caltech-101, Li, Andreetto, Ranzato and Perona (2022), CaltechDATA record mzrjq-6wc02, CC BY 4.0.
An excerpt of 99 categories, without the two face categories and the background category."""
_BUNDLED_PURPOSE = """It is here so that the pipeline
runs and is tested on a real model; it is not fit to moderate anyone's uploads."""
_OTHER_DATA = "`{data}`. Say here where its photographs come from, under which licence, and who chose them."
_BUNDLED_LIMITS = """It has seen no people. Photographs of one category in Caltech-101
resemble each other in background, pose and framing more than photographs in the wild do, so its figures flatter it."""
_OTHER_LIMITS = "Say here what its photographs leave out, and whether people are in them."


@dataclass(frozen=True)
class Held:
    """The figures of one split. `reworded` is the average precision of each paraphrase."""

    figures: Figures
    reworded: dict[str, float]

    @classmethod
    def measure(
        cls, data: Path, bundle: Bundle, captions: Captions, split: str, progress: Progress = NO_PROGRESS
    ) -> "Held":
        """Measure a bundle on one split, with the shipped paraphrases of the categories in `captions`."""
        subject = Subject.load(data, bundle, captions, split, progress)
        texts = texts_by_key(BUNDLED_PARAPHRASES, read_table(BUNDLED_PARAPHRASES))
        known = {category: found for category, found in texts.items() if category in captions.names}
        return cls(zero_shot(subject), paraphrases(subject, known) if known else {})

    @property
    def reworded_ap(self) -> float:
        """The mean over the paraphrases; NaN without any."""
        return float(np.mean(list(self.reworded.values()))) if self.reworded else float("nan")

    def line(self) -> str:
        """Return the figures on one line."""
        figures = self.figures
        return (
            f"top-1 {figures.top1:.3f}, mean average precision {figures.mean_ap:.3f}, "
            f"on {len(self.reworded)} paraphrases {self.reworded_ap:.3f}"
        )


_ORIGINS: dict[TextSource, str] = {
    "captions": """trained together from scratch by the symmetric contrastive loss (Radford et al. 2021)""",
    "sentences": """trained apart: the text tower cut from all-MiniLM-L6-v2 (a sentence encoder, Apache-2.0 by its
card; two of its six layers, fewer tokens in fewer dimensions) and distilled from it, the image tower tuned to that
encoder's vectors (locked-text tuning, Zhai et al. 2022), what all captions share taken out of both""",
}
_PHRASES: dict[TextSource, str] = {
    "captions": "",
    "sentences": """
The text tower learnt from phrases, half of them names and definitions of WordNet 3.0 (copyright 2006 by Princeton
University, used under its licence), half made of its vocabulary's words.
""",
}
_LIMITS: dict[TextSource, str] = {
    "captions": """It has seen {count} kinds of things and the words of their captions, nothing else. A prompt with
other words gets a vector, but not a meaningful one.""",
    "sentences": """Its photographs show {count} kinds of things and nothing else. Its text tower has learnt what words
mean from a sentence encoder, and with it that encoder's biases; what no photograph showed it can name but not see.""",
}


def card(
    manifest: Manifest,
    captions: Captions,
    held: Mapping[str, Held],
    source: TextSource,
    runs: Mapping[str, ImageRecipe | TextRecipe],
    *,
    data: Path,
) -> str:
    """
    Return the card of a bundle trained on photographs of categories in the folder `data`, measured on several splits.

    For data other than the bundled model's, the card asks its author for the facts that this code cannot know.
    """
    bundled = captions == Captions.load(BUNDLED_TABLE)
    return f"""# {manifest.name}

{_introduction(manifest, source, bundled=bundled)}

{_figures(captions, held, bundled=bundled)}

## Data

{_BUNDLED_DATA if bundled else _OTHER_DATA.format(data=data)} Trained on the split `train`, with captions made from
names, synonyms and groups of the categories in {len(captions.templates)} templates.
{_PHRASES[source]}
## What it cannot do

{_LIMITS[source].format(count=len(captions.categories))} {_BUNDLED_LIMITS if bundled else _OTHER_LIMITS}

## Made by

`watchword models train --text {source}`:

{_runs(runs)}
"""


def pairs_card(manifest: Manifest, runs: Mapping[str, ImageRecipe | TextRecipe]) -> str:
    """Return the card of a bundle trained on pairs of images and captions, which has no figures."""
    return f"""# {manifest.name}

Both towers trained together from scratch, on images and captions of their own, by the symmetric contrastive loss
(Radford et al. 2021). `watchword models evaluate` measures it; say here on what, and what it cannot do.

## Made by

`watchword models train --text pairs`:

{_runs(runs)}
"""


def _introduction(manifest: Manifest, source: TextSource, *, bundled: bool) -> str:
    purpose = f" {_BUNDLED_PURPOSE}" if bundled else ""
    return f"""A small CLIP: an image tower (SE-ResNet, {manifest.image_size} px) and a text tower (transformer),
{_ORIGINS[source]},
so that photographs and sentences share one space of {manifest.dimension} dimensions.{purpose}"""


def _figures(captions: Captions, held: Mapping[str, Held], *, bundled: bool) -> str:
    rows = "\n".join(_row(split, each) for split, each in held.items())
    count, last = len(captions.categories), list(held)[-1]
    reworded = "; paraphrases\nshare no content word with any training caption" if bundled else ""
    return f"""## Figures, as shipped

| split | images | zero-shot top-1 ({count} categories) | mean average precision | on paraphrases |
| --- | --- | --- | --- | --- |
{rows}

Average precision is that of each category's plain name as a text policy, over all images of the split, in the
templates of its captions{reworded}. Nothing was trained, tuned or chosen on `test`.

## Categories, worst first

Average precision on `{last}`:
{_categories(held[last].figures)}."""


def _row(split: str, held: Held) -> str:
    figures = held.figures
    reworded = f"{held.reworded_ap:.3f} ({len(held.reworded)} texts)"
    return f"| {split} | {figures.images} | {figures.top1:.3f} | {figures.mean_ap:.3f} | {reworded} |"


def _categories(figures: Figures) -> str:
    """Return the categories with their average precision, in lines of at most a page's width."""
    lines, line = [], ""
    for category, value in figures.categories:
        found = f"{category} {value:.2f}"
        if len(line) + len(found) > 110:  # noqa: PLR2004 -- a page's width
            lines.append(line)
            line = ""
        line += f"{found}, "
    return "\n".join([*lines, line]).rstrip(", ")


def _runs(runs: Mapping[str, ImageRecipe | TextRecipe]) -> str:
    return "\n".join(f"- {name}: {_flat(asdict(recipe))}" for name, recipe in runs.items())


def _flat(settings: dict[str, Any]) -> str:
    schedule = settings.pop("schedule")
    return ", ".join(f"{key} {value}" for key, value in {**schedule, **settings}.items())
