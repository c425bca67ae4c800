"""Evaluation of model bundles on labelled images."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.events.policies import PolicySet
from pipeline.models.captions import BUNDLED_PARAPHRASES, BUNDLED_TABLE, Captions
from pipeline.models.evaluation.bias import IdentityTerms
from pipeline.models.evaluation.evaluate import Evaluation, Material, evaluate
from pipeline.models.text_tables import read_table, texts_by_key
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """
    Bundles, and the data that all of them are measured on.

    `data` has a labels.csv; `slices` names columns of it. Without `captions` and `paraphrases` the shipped tables are
    used; the shipped paraphrases are used with the shipped captions alone.
    """

    bundles: tuple[Path, ...]
    data: Path
    split: str
    slices: tuple[str, ...] = ()
    captions: Path | None = None
    paraphrases: Path | None = None


def evaluate_bundles(workbench: Workbench, request: EvaluationRequest, policy_set: PolicySet) -> tuple[Evaluation, ...]:
    """
    Measure each bundle, in order; `policy_set` is for the figures of bias.

    Raises `UsageError` for a missing bundle, table, column or category, and `RecordFault` for an unreadable image.
    """
    material = Material(
        data=request.data,
        split=request.split,
        captions=Captions.load(request.captions or BUNDLED_TABLE),
        paraphrases=_paraphrases(request),
        policy_set=policy_set,
        terms=IdentityTerms.load(),
        slices=request.slices,
    )
    workbench.access.note(policy_set.policies, "models evaluate")
    evaluations = []
    for folder in request.bundles:
        workbench.progress.notify(f"measuring `{folder}` on `{request.split}` of `{request.data}`")
        evaluations.append(evaluate(Bundle.load(folder), material, workbench.progress))
    return tuple(evaluations)


def _paraphrases(request: EvaluationRequest) -> dict[str, tuple[str, ...]]:
    if request.paraphrases is None and request.captions is not None:
        return {}
    path = request.paraphrases or BUNDLED_PARAPHRASES
    return texts_by_key(path, read_table(path))
