"""Shadow policies against live ones, counted from verdicts."""

from pipeline.evaluation.backtest.shadow_counts import count_shadows
from pipeline.events.wire.verdict import VerdictRecord
from tests.support import wire


def verdict(event_id: str, **answers: tuple[float, str]) -> VerdictRecord:
    """Return a verdict with a score and a digest for each policy; all have the threshold 1."""
    said = [
        wire.answer(name, score=score, digest=digest, flagged=score >= 1) for name, (score, digest) in answers.items()
    ]
    return wire.verdict(wire.OUT, said, event_id=event_id)


def test_shadows_are_counted_against_live_policies() -> None:
    """Only verdicts with the shadow's current digest count, for images that both policies judged."""
    verdicts = [
        verdict("both", new=(2, "d"), old=(2, "o")),
        verdict("flagged", new=(5, "d"), old=(0, "o")),
        verdict("surer", new=(9, "d"), old=(0, "o")),
        verdict("cleared", new=(0, "d"), old=(2, "o")),
        verdict("neither", new=(0, "d"), old=(0, "o")),
        verdict("before its edit", new=(9, "earlier"), old=(0, "o")),
        verdict("out of its scope", old=(2, "o")),
    ]
    [count] = count_shadows(verdicts, {"new": "old"}, {"new": "d"})
    assert (count.images, count.both, count.newly_flagged, count.newly_cleared) == (5, 1, 2, 1)
    assert count.examples_flagged == ("surer", "flagged")
    assert count.examples_cleared == ("cleared",)
    assert (count.shadow_share.value, count.live_share.value) == (0.6, 0.4)
    [alone] = count_shadows(verdicts, {"new": None}, {"new": "d"})
    assert (alone.images, alone.newly_flagged, alone.newly_cleared) == (5, 3, 0)
