"""Required figures of the shipped model and policies, measured as shipped."""

from pathlib import Path

import pytest

from pipeline.encode.bundle import Bundle
from pipeline.models.captions import BUNDLED_TABLE, Captions
from pipeline.models.evaluation.zero_shot import measure
from pipeline.models.training.card import Held
from pipeline.operations.policies.measure import measure_policies
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings

pytestmark = pytest.mark.usefixtures("remembered")


def test_the_model_reaches_its_required_figures_on_unseen_photographs(samples: Path, bundle: Bundle) -> None:
    """
    The figures: top-1 over 99 categories, and average precision of category names and of texts without caption words.
    """
    held = Held.measure(samples, bundle, Captions.load(BUNDLED_TABLE), "test")
    assert held.figures.images == 1007
    assert held.figures.top1 >= 0.75
    assert held.figures.mean_ap >= 0.76
    assert len(held.reworded) >= 50
    assert held.reworded_ap >= 0.53


def test_contrast_ranks_no_shipped_policy_worse_than_similarity_alone(samples: Path, policies: Path) -> None:
    workbench = Workbench(Settings(), user="tester")
    measured = measure_policies(workbench, load_policy_set(policies), samples, "val")
    assert len(measured) == len(load_policy_set(policies).policies)
    for each in measured:
        assert each.contrast_ap >= each.similarity_ap, each.policy_id


def test_the_card_has_the_measured_figures(samples: Path, bundle: Bundle) -> None:
    figures = measure(samples, bundle, Captions.load(BUNDLED_TABLE), "val")
    row = f"| val | {figures.images} | {figures.top1:.3f} | {figures.mean_ap:.3f} |"
    assert row in (bundle.folder / "CARD.md").read_text()
