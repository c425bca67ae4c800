"""Results of `watchword policies calibrate` as lines."""

from collections.abc import Iterator

from pipeline.counted import counted, plural
from pipeline.operations.policies.calibrate_precision import PrecisionFit, PrecisionRefusal
from pipeline.operations.policies.calibrate_queue import QueueFit


def lines(result: PrecisionFit | PrecisionRefusal | QueueFit) -> Iterator[str]:
    """Yield the lines of a result for people."""
    if isinstance(result, QueueFit):
        yield (
            f"`{result.policy_id}`: threshold {result.threshold:.4f} flags {result.flags} of "
            f"{counted(result.images, 'image')}, {result.target}; provisional until there are labels; "
            f"written to {result.path}"
        )
    elif isinstance(result, PrecisionFit):
        yield from _certified(result)
    else:
        yield from _refused(result)


def _certified(fit: PrecisionFit) -> Iterator[str]:
    if fit.curve:
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in fit.losses.items())
        yield f"probability: {fit.curve} (log loss on unseen labels: {losses})"
    yield (
        f"`{fit.policy_id}`: threshold {fit.threshold:.4f} has {fit.target}: {fit.hits} of "
        f"{counted(fit.flags, 'label')} over it are right, of {fit.labels} of different images; written to {fit.path}"
    )


def _refused(refusal: PrecisionRefusal) -> Iterator[str]:
    yield f"`{refusal.policy_id}`: no threshold has {refusal.target}: {refusal.reason}"
    highest, supported = refusal.highest, refusal.supported
    measured = (
        f"{highest.precision:.2f} ({highest.hits} of {counted(highest.flags, 'label')}) at {highest.threshold:.3f}"
        if highest
        else "not known, with fewer than ten labels"
    )
    best = f"{supported.precision:.2f} at {supported.threshold:.3f}" if supported else "none yet"
    yield f"highest precision of a threshold: measured {measured}; supported {best}"
    yield (
        f"at least {refusal.missing} more {plural(refusal.missing, 'label')} of flagged images would be needed, "
        "all of them right"
    )
