"""Plans of releases and rollbacks: checks, changes to show, and the request for an activation."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.operations.policies.publish import PublishOptions, ReleasePlan, prepare_release
from pipeline.operations.policies.rollback import prepare_rollback
from pipeline.policies.load import load_policy_set
from tests.support.publishing import EDITED, two_policies, with_threshold
from tests.support.releasing import Notices, control_with, counted_readings, make_workbench, serve, with_mode

POLICY, OTHER = "weapons.firearms", "wildlife.big_cats"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two policies, published as version 1, and an archive that does not exist."""
    folder = two_policies(tmp_path / "policies")
    monkeypatch.setenv("WATCHWORD_ARCHIVE", str(tmp_path / "archive"))
    serve(monkeypatch, control_with(load_policy_set(folder)))
    return folder


def prepare(folder: Path, encoder: LocalEncoder, notices: Notices | None = None, **options: object) -> ReleasePlan:
    return prepare_release(make_workbench(encoder, notices), folder, PublishOptions(**options))  # type: ignore[arg-type]


def test_a_plan_shows_the_changes_and_requests_the_checked_set(folder: Path, encoder: LocalEncoder) -> None:
    digest = with_threshold(folder, 2.5)
    plan = prepare(folder, encoder, note="lower")
    assert not plan.forbidden
    assert [(diff.policy_id, diff.kind) for diff in plan.diffs] == [(POLICY, "changed")]
    assert plan.request is not None
    assert plan.request.policy_set.digest == digest
    assert (plan.request.parent, plan.request.author, plan.request.note) == (1, "ana", "lower")


def test_a_published_folder_is_read_and_resolved_once(folder: Path, encoder: LocalEncoder) -> None:
    """Lint, examples, differences and the request share one reading, so the checked set is the published set."""
    with_threshold(folder, 2.5)
    with counted_readings() as counts:
        prepare(folder, encoder)
    assert counts == {str(folder): 1, "resolve": 1}


def test_lint_errors_and_failed_examples_forbid_a_release(folder: Path, encoder: LocalEncoder, samples: Path) -> None:
    file = folder / EDITED
    leopard = sorted((samples / "images/Leopards").iterdir())[0]
    text = file.read_text()
    file.write_text(f"{text}examples: [{{ image: {leopard}, flag: true }}]\n")
    plan = prepare(folder, encoder)
    assert plan.forbidden
    assert plan.request is None
    assert [result.example.image for result in plan.failed_examples] == [leopard]
    file.write_text(text.replace("prompts:\n", "prompts:\n  - no weapon at all\n", 1))
    plan = prepare(folder, encoder)
    assert plan.forbidden
    assert [finding.rule.value for finding in plan.errors] == ["negation"]


def test_a_set_that_is_active_already_needs_no_release(folder: Path, encoder: LocalEncoder) -> None:
    assert prepare(folder, encoder).request is None
    assert prepare(folder, encoder, canary_share=0.1).request is None


def test_publishing_the_active_set_ends_its_canary(
    folder: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = load_policy_set(folder)
    with_threshold(folder, 9.0)
    canary = load_policy_set(folder)
    serve(monkeypatch, control_with(live, canary=canary))
    two_policies(folder.parent / "live")
    plan = prepare(folder.parent / "live", encoder)
    assert plan.request is not None
    assert (plan.request.policy_set, plan.request.canary) == (live, None)


def test_a_canary_judges_next_to_the_active_set(folder: Path, encoder: LocalEncoder) -> None:
    live, digest = load_policy_set(folder), with_threshold(folder, 2.5)
    request = prepare(folder, encoder, canary_share=0.1).request
    assert request is not None
    assert request.canary is not None
    assert (request.policy_set.digest, request.canary.digest, request.canary_share) == (live.digest, digest, 0.1)


def test_a_canary_or_shadow_needs_an_active_set(
    folder: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="choose one"):
        prepare(folder, encoder, canary_share=0.1, shadow=True)
    serve(monkeypatch, control_with())
    for options in ({"canary_share": 0.1}, {"shadow": True}):
        with pytest.raises(UsageError, match="nothing to compare this set with"):
            prepare(folder, encoder, **options)


def test_policies_enforced_without_evidence_are_named_when_they_change(folder: Path, encoder: LocalEncoder) -> None:
    """A shadow flags nothing, and an unchanged policy was reported before."""
    with_threshold(folder, 2.5)
    assert prepare(folder, encoder).without_evidence == (POLICY,)
    assert prepare(folder, encoder, shadow=True).without_evidence == ()
    with_mode(folder, "shadow", [EDITED])
    assert prepare(folder, encoder).without_evidence == ()


def archive_images(folder: Path, encoder: LocalEncoder, *, days: int) -> None:
    """Archive an image of a revolver on each of the last days."""
    [vector] = encoder.encode_texts(["a revolver"]).astype(np.float16)
    now = datetime.now(UTC)
    rows = [
        ArchivedEmbedding(
            f"i/0/{n}", encoder.model_digest, f"e{n}", "shop", "{}", "c", now - timedelta(days=n, hours=1), "s", vector
        )
        for n in range(days)
    ]
    Archive(str(folder)).add(rows)


def test_a_plan_looks_back_at_the_last_week(folder: Path, encoder: LocalEncoder) -> None:
    archive_images(folder.parent / "archive", encoder, days=10)
    with_threshold(folder, -99.0)
    look_back = prepare(folder, encoder).look_back
    assert look_back is not None
    assert look_back.found.images == 7
    assert look_back.found.policies[POLICY].after == 7
    assert not look_back.found.policies[OTHER].changed


def test_without_archived_images_there_is_no_look_back(folder: Path, encoder: LocalEncoder) -> None:
    with_threshold(folder, 2.5)
    notices = Notices()
    assert prepare(folder, encoder, notices).look_back is None
    assert notices.messages == []


@pytest.mark.parametrize("module", ["lance", "pyarrow"])
def test_an_install_without_the_archive_reports_that_it_has_no_back_test(
    folder: Path, encoder: LocalEncoder, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_threshold(folder, 2.5)
    monkeypatch.setitem(sys.modules, module, None)
    notices = Notices()
    plan = prepare(folder, encoder, notices)
    assert plan.request is not None
    assert plan.look_back is None
    [notice] = notices.messages
    assert f"`{module}` is missing" in notice
    assert "extra `archive`" in notice


@pytest.mark.parametrize("module", ["pipeline.operations.policies.backtest", "threadpoolctl"])
def test_a_broken_install_does_not_count_as_one_without_the_archive(
    folder: Path, encoder: LocalEncoder, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing module that the extra does not install stops the command instead of skipping the look-back."""
    with_threshold(folder, 2.5)
    for name in ("pipeline.operations.policies.backtest", "pipeline.evaluation.backtest.compare"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=module):
        prepare(folder, encoder)


def test_a_rollback_returns_to_the_newest_other_set(
    folder: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_policy_set(folder)
    with_threshold(folder, 2.5)
    second = load_policy_set(folder)
    serve(monkeypatch, control_with(first, second, second))
    plan = prepare_rollback(make_workbench(encoder))
    assert (plan.version, plan.target.version) == (3, 1)
    assert plan.request.policy_set == first
    assert (plan.request.parent, plan.request.author, plan.request.note) == (3, "ana", "back to version 1")
    assert [diff.policy_id for diff in plan.diffs] == [POLICY]
    named = prepare_rollback(make_workbench(encoder), "2", note="again")
    assert (named.target.version, named.request.note) == (2, "again")


def test_a_rollback_first_ends_a_canary(folder: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    live = load_policy_set(folder)
    with_threshold(folder, 2.5)
    serve(monkeypatch, control_with(live, canary=load_policy_set(folder)))
    plan = prepare_rollback(make_workbench(encoder))
    assert (plan.request.policy_set, plan.request.canary) == (live, None)


def test_a_rollback_needs_an_earlier_set(folder: Path, encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no earlier set"):
        prepare_rollback(make_workbench(encoder))
    serve(monkeypatch, control_with())
    with pytest.raises(UsageError, match="nothing is published yet"):
        prepare_rollback(make_workbench(encoder))
