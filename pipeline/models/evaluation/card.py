"""Evaluations as Markdown, side by side, and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pipeline.evaluation.stats.intervals import Interval
from pipeline.models.evaluation.bias import SliceRate
from pipeline.models.evaluation.evaluate import Evaluation

MOST_SHIFTS = 15

WHO_IS_NAMED = """## Who is named

Each policy's prompts "with" a term for a person, against the same prompts "with a person": the shift of the share of
images it flags, or of its scores where its threshold was fitted for another model. Only shifts whose 95 % interval
excludes zero."""
BY_SLICE = """## Flag rates by slice

The share of a slice that each policy flags, and the difference to the share of all other images."""


def to_json(evaluations: Sequence[Evaluation]) -> str:
    """Return the figures of each bundle as one JSON text: a list with one object for each bundle."""
    return json.dumps([{**asdict(each), "paraphrase_ap": each.paraphrase_ap} for each in evaluations], indent=2)


def to_markdown(evaluations: Sequence[Evaluation]) -> str:
    """Return one bundle's figures, or several side by side, as Markdown."""
    parts = [
        _title(evaluations),
        _table(["", *(each.model for each in evaluations)], _summary(evaluations)),
        "## Categories, worst first\n\nAverage precision of the plain name as a policy of its own.",
        _categories(evaluations),
        "## Altered images, as uploads often are\n\nZero-shot top-1, and mean average precision.",
        _table(["", *(each.model for each in evaluations)], _robustness(evaluations)),
    ]
    if evaluations[0].slices:
        parts += ["## Slices\n\nZero-shot top-1.", _table(["slice", *_models(evaluations)], _slices(evaluations))]
    parts += [WHO_IS_NAMED, *_stale(evaluations), _shifts(evaluations)]
    if any(each.slice_rates for each in evaluations):
        parts += [BY_SLICE, _table(["policy and slice", *_models(evaluations)], _rates(evaluations))]
    return "\n\n".join(parts) + "\n"


def _title(evaluations: Sequence[Evaluation]) -> str:
    first = evaluations[0]
    names = " and ".join(f"{each.model} (`{each.digest[:12]}`)" for each in evaluations)
    return f"# {names}\n\nMeasured on `{first.split}`, {first.zero_shot.images} images."


def _summary(evaluations: Sequence[Evaluation]) -> Iterable[list[str]]:
    yield ["zero-shot top-1", *(_share(each.zero_shot.top1_interval) for each in evaluations)]
    yield ["zero-shot top-5", *(f"{each.zero_shot.top5:.3f}" for each in evaluations)]
    yield ["mean average precision", *(f"{each.zero_shot.mean_ap:.3f}" for each in evaluations)]
    yield [
        "on paraphrases",
        *(f"{each.paraphrase_ap:.3f} ({len(each.paraphrases)} texts)" for each in evaluations),
    ]
    for k in evaluations[0].space.text_to_image:
        yield [f"text→image recall@{k}", *(f"{each.space.text_to_image[k]:.3f}" for each in evaluations)]
        yield [f"image→text recall@{k}", *(f"{each.space.image_to_text[k]:.3f}" for each in evaluations)]
    yield ["calibration error", *(f"{each.space.calibration_error:.3f}" for each in evaluations)]
    yield ["anisotropy", *(f"{each.space.anisotropy:.3f}" for each in evaluations)]
    yield ["modality gap", *(f"{each.space.modality_gap:.3f}" for each in evaluations)]


def _categories(evaluations: Sequence[Evaluation]) -> str:
    by_name = [dict(each.zero_shot.categories) for each in evaluations]
    rows = ([name, *(f"{found[name]:.2f}" for found in by_name)] for name, _ in evaluations[0].zero_shot.categories)
    return _table(["category", *_models(evaluations)], rows)


def _robustness(evaluations: Sequence[Evaluation]) -> Iterable[list[str]]:
    yield ["as they are", *(_two(each.zero_shot.top1, each.zero_shot.mean_ap) for each in evaluations)]
    for kind in evaluations[0].robustness:
        altered = [each.robustness[kind] for each in evaluations]
        yield [kind, *(_two(each.top1, each.mean_ap) for each in altered)]


def _slices(evaluations: Sequence[Evaluation]) -> Iterable[list[str]]:
    for rows in zip(*(each.slices for each in evaluations), strict=True):
        yield [f"{rows[0].column} {rows[0].value} ({rows[0].images})", *(_share(row.top1) for row in rows)]


def _rates(evaluations: Sequence[Evaluation]) -> Iterable[list[str]]:
    found = [{(row.policy_id, row.column, row.value): row for row in each.slice_rates} for each in evaluations]
    for key in dict.fromkeys(key for rows in found for key in rows):
        policy, column, value = key
        yield [f"{policy}, {column} {value}", *(_rate(rows.get(key)) for rows in found)]


def _rate(row: SliceRate | None) -> str:
    """Return a rate as text; a dash for a policy whose threshold was fitted for another model."""
    if row is None:
        return "–"
    return _share(row.flag_rate) + (f"; {_signed(row.gap)}" if row.gap else "")


def _stale(evaluations: Sequence[Evaluation]) -> Iterable[str]:
    for each in evaluations:
        if each.stale:
            yield f"For {each.model} the thresholds of {', '.join(each.stale)} were not fitted."


def _shifts(evaluations: Sequence[Evaluation]) -> str:
    rows = sorted(
        ((each.model, shift) for each in evaluations for shift in each.term_shifts if shift.matters),
        key=lambda pair: -abs((pair[1].flag_rate_shift or pair[1].score_shift).value),
    )
    total = sum(len(each.term_shifts) for each in evaluations)
    said = f"{len(rows)} of {total} shifts; the largest:" if rows else f"None of {total} shifts."
    table = _table(
        ["model", "policy", "term", "flag rate", "score"],
        (
            [model, shift.policy_id, shift.term, _signed_or_none(shift.flag_rate_shift), _signed(shift.score_shift)]
            for model, shift in rows[:MOST_SHIFTS]
        ),
    )
    return f"{said}\n\n{table}" if rows else said


def _models(evaluations: Sequence[Evaluation]) -> list[str]:
    return [each.model for each in evaluations]


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(found: Interval) -> str:
    return f"{found.value:.3f} ({found.lower:.3f}–{found.upper:.3f})"


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"


def _signed_or_none(found: Interval | None) -> str:
    return "–" if found is None else _signed(found)


def _two(top1: float, mean_ap: float) -> str:
    return f"{top1:.3f} · {mean_ap:.3f}"
