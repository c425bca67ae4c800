"""Promotion of a shadow: the shadows of a set, and the edit that enforces a policy."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.events.policies import Mode
from pipeline.policies.load import load_policy_set, read_folder
from pipeline.releases.promotion import policy_file, require_same, shadow_pairs, write_enforce
from pipeline.releases.shadow import with_shadow
from tests.support.publishing import EDITED, two_policies, with_threshold
from tests.support.releasing import with_mode

POLICY, OTHER = "weapons.firearms", "wildlife.big_cats"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_policies(tmp_path / "policies")


def test_a_shadow_is_compared_with_the_policy_it_shadows_or_another(folder: Path) -> None:
    live = load_policy_set(folder)
    with_threshold(folder, 2.5)
    both = with_shadow(live, load_policy_set(folder))
    [pair] = shadow_pairs(both)
    assert pair.shadow.id == f"{POLICY}~shadow"
    assert pair.live is not None
    assert pair.live.id == POLICY
    [other] = shadow_pairs(both, POLICY, against=OTHER)
    assert other.live is not None
    assert other.live.id == OTHER
    assert shadow_pairs(both, OTHER) == []
    with pytest.raises(UsageError, match="`--against nobody`: no such policy"):
        shadow_pairs(both, against="nobody")


def test_a_policy_in_shadow_mode_has_no_live_one(folder: Path) -> None:
    with_mode(folder, "shadow", [EDITED])
    [pair] = shadow_pairs(load_policy_set(folder))
    assert (pair.shadow.id, pair.live) == (POLICY, None)


def test_only_the_shadow_that_judged_is_promoted(folder: Path) -> None:
    """An edit after the shadow was published makes a different policy."""
    live = load_policy_set(folder)
    with_threshold(folder, 2.5)
    pairs = shadow_pairs(with_shadow(live, load_policy_set(folder)))
    require_same(pairs, load_policy_set(folder))
    with_threshold(folder, 3.0)
    with pytest.raises(UsageError, match="another policy than the shadow that judged"):
        require_same(pairs, load_policy_set(folder))


def test_enforcing_edits_only_the_mode(folder: Path) -> None:
    with_mode(folder, "shadow", [EDITED])
    file = folder / EDITED
    file.write_text(file.read_text().replace("mode: shadow", "mode: shadow  # until the shadow's figures are in"))
    before = file.read_text()
    write_enforce(policy_file(read_folder(folder), POLICY))
    assert file.read_text() == before.replace("mode: shadow", "mode: enforce")
    [policy] = [policy for policy in load_policy_set(folder).policies if policy.id == POLICY]
    assert policy.mode is Mode.ENFORCE


def test_a_mode_that_another_file_sets_is_not_edited(folder: Path) -> None:
    (folder / "_base.yaml").write_text("mode: shadow\n")
    file = folder / EDITED
    text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("mode:"))
    file.write_text(f"{text}\nextends: _base\n")
    with pytest.raises(UsageError, match=r"is set by .*_base\.yaml"):
        write_enforce(policy_file(read_folder(folder), POLICY))
    with pytest.raises(UsageError, match="no policy `nobody`"):
        policy_file(read_folder(folder), "nobody")
