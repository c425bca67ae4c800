"""A threshold belongs to one model's scores: under another model the policy becomes a shadow, or the set is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle, Derivation
from pipeline.encode.local import LocalEncoder
from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, PolicySet
from pipeline.policies.load import load_policy_set
from pipeline.policies.model_compatibility import for_model, stale_policies
from pipeline.releases.sources import FolderPolicies
from pipeline.stream.judge_builder import JudgeBuilder
from pipeline.stream.policy_metrics import PolicyMetrics
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels

OURS, OTHER = "a" * 64, "b" * 64
FILE = """id: {id}
title: {id}
prompts: [a revolver]
threshold: {threshold}
severity: low
action: look
owner: us
mode: {mode}
{more}
"""


def write(folder: Path, name: str, threshold: str, mode: str = "enforce", more: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(FILE.format(id=name, threshold=threshold, mode=mode, more=more))


def mixed(folder: Path, more: str = "") -> PolicySet:
    write(folder, "known", f"{{ value: 1, model: {OURS} }}")
    write(folder, "stale", f"{{ value: 1, model: {OTHER} }}", more=more)
    write(folder, "unsaid", "1")
    return load_policy_set(folder)


def test_only_a_policy_fitted_for_another_model_becomes_a_shadow(tmp_path: Path) -> None:
    policy_set = mixed(tmp_path)
    judged = for_model(policy_set, {OURS})
    assert [policy.id for policy in stale_policies(policy_set, {OURS})] == ["stale"]
    assert {policy.id: policy.mode for policy in judged.policies} == {
        "known": Mode.ENFORCE,
        "stale": Mode.SHADOW,
        "unsaid": Mode.ENFORCE,
    }
    assert judged.digest != policy_set.digest, "verdicts name the set that judged them, not the one that was written"
    digests = {policy.id: policy.digest for policy in policy_set.policies}
    assert [policy.id for policy in judged.policies if policy.digest != digests[policy.id]] == ["stale"]


def test_a_set_that_fits_the_model_is_unchanged(tmp_path: Path) -> None:
    policy_set = mixed(tmp_path)
    assert for_model(policy_set, {OURS, OTHER}) is policy_set


def test_refuse_refuses_the_whole_set_by_name(tmp_path: Path) -> None:
    policy_set = mixed(tmp_path, "on_model_change: refuse")
    with pytest.raises(PolicyError, match="another model than this one: stale; fit their thresholds again"):
        for_model(policy_set, {OURS})


def test_an_engine_of_the_named_model_is_not_another(bundle: Bundle) -> None:
    derived = Derivation(parent=OURS, precision="int8", policy_set="", images=1, cosine_p1=1, flip_rate=0)
    engine = Bundle(bundle.folder, bundle.manifest.model_copy(update={"derived": derived}))
    assert engine.lineage == {OURS, engine.digest}
    assert bundle.lineage == {bundle.digest}


def test_a_misspelt_digest_or_choice_is_shown_with_its_position(tmp_path: Path) -> None:
    write(tmp_path, "wrong", "{ value: 1, model: abc }", more="on_model_change: refuze")
    with pytest.raises(PolicyError) as problem:
        load_policy_set(tmp_path)
    assert "wrong.yaml:4:" in str(problem.value)
    assert "`refuze` is not a value of `on_model_change`, did you mean `refuse`?" in str(problem.value)


def test_a_running_worker_rejects_an_edit_that_refuses_its_model(tmp_path: Path, encoder: LocalEncoder) -> None:
    """The edit is counted as refused. An edit with a stale shadow is accepted, and the shadow is counted as stale."""
    metrics = Metrics()
    write(tmp_path, "first", f"{{ value: 1, model: {encoder.model_digest} }}")
    watch = PolicyWatcher(
        FolderPolicies(tmp_path),
        JudgeBuilder(encoder, {encoder.model_digest}),
        PolicyMetrics(metrics, PolicyLabels(100, lambda _: None), encoder.model_digest),
    )
    watch.load()
    loaded = watch.current().judge.bank.policy_set
    write(tmp_path, "second", f"{{ value: 1, model: {OTHER} }}", more="on_model_change: refuse")
    watch.refresh()
    assert watch.current().judge.bank.policy_set == loaded
    assert metrics.policies_refused._value.get() == 1
    write(tmp_path, "second", f"{{ value: 1.5, model: {OTHER} }}")
    watch.refresh()
    assert [policy.mode for policy in watch.current().judge.bank.policy_set.policies] == [Mode.ENFORCE, Mode.SHADOW]
    assert metrics.policies_stale._value.get() == 1


def test_a_scan_reports_thresholds_of_another_model(tmp_path: Path, samples: Path) -> None:
    mixed(tmp_path / "policies")
    image = sorted((samples / "images/revolver").iterdir())[0]
    run = CliRunner().invoke(app, ["scan", str(image), "--policies", str(tmp_path / "policies")])
    assert "thresholds fitted for another model, so results mean little: known, stale" in run.stderr.replace("\n", " ")
