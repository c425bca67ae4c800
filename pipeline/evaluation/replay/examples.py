"""Examples of policies, and the check of each against its outcome."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.ingest.folder import FileEvent
from pipeline.policies.folder import ParsedPolicy, PolicyFolder
from pipeline.policies.schema import ExampleFile
from pipeline.policies.source import Position


@dataclass(frozen=True, slots=True)
class Example:
    """An image, the answer that one policy must give for it, and the position of both in the policy's file."""

    policy_id: str
    image: Path
    expected: ExampleFile
    path: Path
    position: Position

    @property
    def name(self) -> str:
        """The image's path as the policy file spells it."""
        return self.expected.image

    @property
    def event(self) -> FileEvent:
        """The event to judge."""
        return FileEvent(self.name, self.image, self.expected.source, self.expected.attributes)


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """Result of one example: the score and the answer, or in `fault` the reason why the image cannot be judged."""

    example: Example
    score: float
    threshold: float
    flagged: bool
    in_scope: bool = True
    fault: str = ""

    @property
    def passed(self) -> bool:
        """True when the policy gives the expected answer."""
        return not self.fault and self.flagged == self.example.expected.flag

    def line(self) -> str:
        """Describe the failure."""
        if self.fault:
            return f"cannot be judged: {self.fault}"
        if not self.in_scope:
            return "is outside the policy's scope"
        expected = self.example.expected
        wanted = "must be flagged" if expected.flag else "must not be flagged"
        reason = f" ({expected.why})" if expected.why else ""
        return f"{wanted}{reason}: score {self.score:.3f}, threshold {self.threshold:.3f}"


def examples_of(folder: PolicyFolder) -> list[Example]:
    """Return the examples of every policy. Raises `UsageError` that names each missing image."""
    found = [example for policy in folder.written for example in _of(policy)]
    missing = [
        f"{each.path}:{each.position.line}:{each.position.column}: `{each.name}` does not exist"
        for each in found
        if not each.image.is_file()
    ]
    if missing:
        raise UsageError("\n".join(missing))
    return found


def check_example(example: Example, outcome: Verdict | DeadLetter) -> ExampleResult:
    """Compare the outcome of an example's image with the expected answer."""
    if isinstance(outcome, DeadLetter):
        return ExampleResult(example, 0.0, 0.0, flagged=False, fault=f"{outcome.reason}: {outcome.detail}")
    index = [policy.id for policy in outcome.policy_set.policies].index(example.policy_id)
    return ExampleResult(
        example,
        score=float(outcome.scores[index]),
        threshold=outcome.policy_set.policies[index].threshold,
        flagged=bool(outcome.flagged[index]),
        # A policy flags nothing outside its scope, so an example with `flag: false` passes there.
        in_scope=bool(outcome.in_scope[index]) or not example.expected.flag,
    )


def _of(policy: ParsedPolicy) -> Iterator[Example]:
    for number, expected in enumerate(policy.file.examples):
        document, place = policy.resolved.written_at(("examples", number, "image"))
        image = document.path.parent / expected.image
        yield Example(policy.file.id, image, expected, document.path, document.position(place))
