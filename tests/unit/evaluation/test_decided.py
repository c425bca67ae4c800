"""People's decisions, and precision and recall of policies estimated from them."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipeline.emit.decisions import decision_record
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluation.calibration.labels import decided_labels
from pipeline.evaluation.decisions.standing import Decided, decisions, latest, standings
from pipeline.evaluation.stats.binomial import exact_ends, weighted_share
from pipeline.events.decisions import Decision, Ruling
from pipeline.events.policies import Background
from pipeline.events.records import Origin, Record
from pipeline.events.scope import Scope
from pipeline.judge.score import Judge
from pipeline.policies.compile import compose, with_digest
from tests.support.deciding import POLICY, decision

NOW = datetime(2031, 5, 20, 12, tzinfo=UTC)


def test_a_ruling_gives_the_right_answer_and_the_policys_answer() -> None:
    for ruling in Ruling:
        assert Ruling.of(flagged=ruling.flagged, right=ruling.right) is ruling


def test_the_exact_interval_is_the_published_one() -> None:
    """Clopper and Pearson's interval for 8 of 10; close to the rule of three for 59 of 59."""
    assert exact_ends(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert exact_ends(59, 59, confidence=0.90)[0] == pytest.approx(0.95, abs=1e-3)


def test_unequal_weights_lower_the_effective_sample_size() -> None:
    hits = np.array([True] * 8 + [False] * 2)
    plain, uneven = (weighted_share(hits, weights) for weights in (np.ones(10), np.array([9.0] + [1.0] * 9)))
    assert plain.value == 0.8
    assert plain.lower == pytest.approx(0.4439, abs=1e-4)
    assert uneven.value == pytest.approx(16 / 18)
    assert uneven.upper - uneven.lower > plain.upper - plain.lower


def test_the_latest_decision_counts_in_any_order() -> None:
    first = decision(Ruling.UPHELD, "e1", time=NOW)
    second = decision(Ruling.OVERTURNED, "e1", time=NOW + timedelta(hours=1))
    other = decision(Ruling.MISSED, "e1", policy="wildlife.big_cats", time=NOW)
    assert latest([second, other, first]) == latest([first, second, other])
    assert {each.ruling for each in latest([second, other, first])} == {Ruling.OVERTURNED, Ruling.MISSED}


def test_a_decision_is_read_back_and_other_records_are_left_out() -> None:
    sent = decision(Ruling.MISSED, "e1", probability=0.25, note="a toy")
    record = decision_record(sent)
    bad = b'{"ruling": "maybe"}'
    records = [Record(Origin("d", 0, n), record.key, value) for n, value in enumerate((record.value, bad, None))]
    assert list(decisions(records)) == [sent]
    assert json.loads(record.value)["ruling"] == "missed"
    assert record.key == b"weapons.firearms\nforum\ne1"


def test_precision_is_of_decided_flags_and_recall_needs_an_audit() -> None:
    """Twelve misses sampled with probability 0.1 stand for 120; of 80 flags, all decided, 60 are right."""
    [plain] = standings(flags(80, 60))
    assert (plain.precision.value, plain.recall) == (0.75, None)
    assert plain.precision.lower < 0.75 < plain.precision.upper
    audit = [decision(Ruling.MISSED if n < 12 else Ruling.PASSED, f"a{n}", probability=0.1) for n in range(200)]
    [audited] = standings([*flags(80, 60, 1.0), *audit])
    assert audited.rulings == {Ruling.UPHELD: 60, Ruling.OVERTURNED: 20, Ruling.MISSED: 12, Ruling.PASSED: 188}
    assert audited.recall is not None
    assert audited.recall.interval is not None
    assert audited.recall.interval.value == pytest.approx(60 / (60 + 120))
    [unknown] = standings([*flags(80, 60), *audit])
    assert unknown.recall is None, "how many flags there are is not known"
    [drawn] = standings([*flags(80, 60, 0.1), *audit])
    assert drawn.recall is not None
    assert drawn.recall.interval is not None
    assert drawn.recall.interval.value == pytest.approx(600 / (600 + 120))
    exact = audited.recall.interval
    assert drawn.recall.interval.lower < 600 / (600 + 60 / exact.lower - 60), "what was hit is an estimate too"


def flags(count: int, right: int, probability: float | None = None) -> list[Decision]:
    more = {} if probability is None else {"probability": probability}
    rulings = [Ruling.UPHELD if n < right else Ruling.OVERTURNED for n in range(count)]
    return [decision(ruling, f"f{n}", **more) for n, ruling in enumerate(rulings)]


def test_labels_from_decisions_are_in_scope_weighted_and_deduplicated(encoder: LocalEncoder) -> None:
    policy = with_digest(POLICY)
    judge = Judge(build_prompt_bank(compose([policy], Background(("a tree",), ("{}",))), encoder))
    vectors = encoder.encode_texts(["a revolver", "a tree", "a leopard"]).astype(np.float16)
    one, copy = "00ff00ff00ff00ff", "00ff00ff00ff00fe"
    given = [
        Decided(decision(Ruling.UPHELD, "e1", probability=0.5, picture=one), {"region": "eu"}, vectors[0]),
        Decided(decision(Ruling.UPHELD, "e2", probability=0.5, picture=copy), {"region": "eu"}, vectors[0]),
        Decided(decision(Ruling.PASSED, "e3", probability=0.1), {"region": "eu"}, vectors[1]),
        Decided(decision(Ruling.PASSED, "e4", probability=0.1), {"region": "us"}, vectors[2]),
    ]
    labels = decided_labels(given, judge, policy.id, None)
    assert labels.weights.tolist() == [2, 2, 10]
    assert labels.positive.tolist() == [True, True, False]
    assert len(labels.deduplicated().scores) == 2
    assert labels.scores[0] > labels.scores[2]
    assert policy.scope == Scope(values=(("region", ("eu",)),))
    with pytest.raises(UsageError, match="there are no decisions about"):
        decided_labels(given[3:], judge, policy.id, None)


def test_decisions_without_probabilities_need_a_base_rate(encoder: LocalEncoder) -> None:
    policy = with_digest(POLICY)
    judge = Judge(build_prompt_bank(compose([policy], Background(("a tree",), ("{}",))), encoder))
    [vector] = encoder.encode_texts(["a revolver"]).astype(np.float16)
    given = [Decided(decision(ruling, f"e{n}"), {"region": "eu"}, vector) for n, ruling in enumerate(Ruling)]
    with pytest.raises(UsageError, match="do not say how they were sampled"):
        decided_labels(given, judge, policy.id, None)
    assert decided_labels(given, judge, policy.id, 0.01).weights.tolist() == [0.02, 1.98, 0.02, 1.98]


def test_a_decision_about_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="event_id"):
        Decision.model_validate({"ruling": "upheld", "policy": "p", "source": "s", "time": NOW})
