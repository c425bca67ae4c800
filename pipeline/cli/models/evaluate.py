"""`watchword models evaluate`: what bundles can and cannot do."""

import json
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.cli.console import Lines, output, print_json, progress_output, require_format
from pipeline.cli.transition import note_access
from pipeline.encode.bundle import Bundle
from pipeline.models.captions import BUNDLED_PARAPHRASES, BUNDLED_TABLE, Captions
from pipeline.models.evaluation.bias import IdentityTerms
from pipeline.models.evaluation.card import to_json, to_markdown
from pipeline.models.evaluation.evaluate import Material, evaluate
from pipeline.policies.load import load_policy_set

FORMATS = {"markdown": to_markdown, "json": to_json}


def run_evaluate(
    bundles: list[Path],
    data: Path,
    split: str,
    *,
    slices: tuple[str, ...],
    captions: Path | None,
    paraphrases: Path | None,
    policies: Path,
    output_format: str,
    card: Path | None,
) -> None:
    """Measure, print, and write the card."""
    require_format(output_format, FORMATS)
    material = Material(
        data=data,
        split=split,
        captions=Captions.load(captions or BUNDLED_TABLE),
        paraphrases=_texts(paraphrases, captions),
        policy_set=load_policy_set(policies),
        terms=IdentityTerms.load(),
        slices=slices,
    )
    note_access(material.policy_set.policies, "models evaluate")
    found = []
    for folder in bundles:
        progress_output().print(f"measuring `{folder}` on `{split}` of `{data}`")
        found.append(evaluate(Bundle.load(folder), material))
    if card is not None:
        card.parent.mkdir(parents=True, exist_ok=True)
        whole = card.with_name(card.name.removesuffix(".md").removesuffix(".json"))
        whole.with_name(f"{whole.name}.md").write_text(to_markdown(found))
        whole.with_name(f"{whole.name}.json").write_text(to_json(found) + "\n")
    text = FORMATS[output_format](found)
    if output_format == "json":
        print_json(json.loads(text), indent=2)
    else:
        output().print(Lines(text))


def _texts(table: Path | None, captions: Path | None) -> dict[str, tuple[str, ...]]:
    """Return other words by category; the shipped ones are of the shipped captions alone."""
    if table is None and captions is not None:
        return {}
    found = YAML(typ="safe").load(table or BUNDLED_PARAPHRASES) or {}
    return {category: tuple(texts) for category, texts in found.items()}
