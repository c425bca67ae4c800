"""Everything that is measured of a bundle, on one labelled split."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluate.intervals import Interval, wilson
from pipeline.events.policies import PolicySet
from pipeline.ingest.alter import ALTERATIONS, alter
from pipeline.models.captions import Captions
from pipeline.models.evaluation.bias import IdentityTerms, SliceRate, TermShift, slice_rates, term_shifts
from pipeline.models.evaluation.space import Space, measure_space
from pipeline.models.evaluation.subject import Subject
from pipeline.models.evaluation.zero_shot import Figures, paraphrases, zero_shot


@dataclass(frozen=True)
class Material:
    """What a bundle is measured on. `slices` names columns of labels.csv; `paraphrases` are texts by category."""

    data: Path
    split: str
    captions: Captions
    paraphrases: dict[str, tuple[str, ...]]
    policy_set: PolicySet
    terms: IdentityTerms
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """Zero-shot top-1 on the images of one slice."""

    column: str
    value: str
    images: int
    top1: Interval


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one bundle. `robustness` is by alteration; `paraphrases` average precision by text."""

    model: str
    digest: str
    split: str
    zero_shot: Figures
    paraphrases: dict[str, float]
    space: Space
    slices: tuple[SliceFigures, ...]
    robustness: dict[str, Figures]
    term_shifts: tuple[TermShift, ...]
    slice_rates: tuple[SliceRate, ...]

    @property
    def paraphrase_ap(self) -> float:
        """The mean average precision of the paraphrases; NaN without any."""
        return float(np.mean(list(self.paraphrases.values()))) if self.paraphrases else float("nan")


def evaluate(bundle: Bundle, material: Material) -> Evaluation:
    """Measure a bundle. Raises `UsageError` for a column that is not there."""
    slices = read_slices(material)
    subject = Subject.load(material.data, bundle, material.captions, material.split)
    right = (subject.embeds @ subject.vectors.T).argmax(axis=1) == subject.images.labels
    return Evaluation(
        model=bundle.manifest.name,
        digest=bundle.digest,
        split=material.split,
        zero_shot=zero_shot(subject),
        paraphrases=paraphrases(subject, material.paraphrases),
        space=measure_space(subject),
        slices=tuple(
            SliceFigures(column, value, len(inside), wilson(int(right[inside].sum()), len(inside)))
            for column, values in slices.items()
            for value in sorted(set(values))
            for inside in [[i for i, each in enumerate(values) if each == value]]
        ),
        robustness={
            kind: zero_shot(subject, subject.embed(alter(subject.images.pixels, kind))) for kind in ALTERATIONS
        },
        term_shifts=tuple(term_shifts(subject, material.policy_set, material.terms)),
        slice_rates=tuple(slice_rates(subject, material.policy_set, dict(slices))),
    )


def read_slices(material: Material) -> dict[str, list[str]]:
    """Return the wanted columns of labels.csv, one value an image of the split. Raises `UsageError`."""
    table = material.data / "labels.csv"
    with table.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == material.split]
    if rows and (missing := [column for column in material.slices if column not in rows[0]]):
        raise UsageError(f"`{table}` has no column {', '.join(missing)}; it has {', '.join(rows[0])}")
    return {column: [row[column] for row in rows] for column in material.slices}
