"""Decisions, and a policy they are about."""

from datetime import UTC, datetime

from pipeline.events.decisions import Decision, Ruling
from pipeline.events.policies import Mode, Policy, ScoreKind, Severity
from pipeline.events.scope import Scope

POLICY = Policy(
    id="weapons.firearms",
    title="Firearms",
    prompts=("a revolver",),
    contrast=("a water pistol",),
    templates=("a photo of {}",),
    score=ScoreKind.CONTRAST,
    threshold=0.0,
    severity=Severity.HIGH,
    action="review",
    owner="safety",
    mode=Mode.ENFORCE,
    provisional=False,
    digest="",
    scope=Scope(values=(("region", ("eu",)),)),
)


def decision(ruling: Ruling, event_id: str, **more: object) -> Decision:
    """A decision about `POLICY`, of the source `forum`."""
    about = {"policy": POLICY.id, "source": "forum", "event_id": event_id, "time": datetime(2031, 5, 20, tzinfo=UTC)}
    return Decision.model_validate({"ruling": ruling, **about, **more})
