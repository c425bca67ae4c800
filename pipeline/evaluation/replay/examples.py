"""Policies tried on their own examples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.ingest.folder import FileEvent
from pipeline.policies.diagnostics import Position
from pipeline.policies.load import ParsedPolicy, PolicyFolder
from pipeline.policies.schema import ExampleFile


@dataclass(frozen=True, slots=True)
class Example:
    """An image and what one policy must say of it, and where that is written."""

    policy_id: str
    image: Path
    says: ExampleFile
    written_in: Path
    position: Position

    @property
    def name(self) -> str:
        """The image as it is written."""
        return self.says.image

    @property
    def event(self) -> FileEvent:
        """What is judged."""
        return FileEvent(self.name, self.image, self.says.source, self.says.attributes)


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What came of an example: the score and the answer, or why the image cannot be judged."""

    example: Example
    score: float
    threshold: float
    flagged: bool
    in_scope: bool = True
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the policy says what it must."""
        return not self.fault and self.flagged == self.example.says.flag

    def line(self) -> str:
        """Say what is wrong."""
        if self.fault:
            return f"cannot be judged: {self.fault}"
        if not self.in_scope:
            return "is outside the policy's scope"
        wanted = "must be flagged" if self.example.says.flag else "must not be flagged"
        reason = f" ({self.example.says.why})" if self.example.says.why else ""
        return f"{wanted}{reason}: score {self.score:.3f}, threshold {self.threshold:.3f}"


def examples_of(folder: PolicyFolder) -> list[Example]:
    """Return every policy's examples. Raises `UsageError` that names every image that is not there."""
    found = [example for written in folder.written for example in _of(written)]
    missing = [
        f"{each.written_in}:{each.position.line}:{each.position.column}: `{each.name}` is not there"
        for each in found
        if not each.image.is_file()
    ]
    if missing:
        raise UsageError("\n".join(missing))
    return found


def tried(example: Example, outcome: Verdict | DeadLetter) -> ExampleResult:
    """Return what an outcome means for the example it is of."""
    if isinstance(outcome, DeadLetter):
        return ExampleResult(example, 0.0, 0.0, flagged=False, fault=f"{outcome.reason}: {outcome.detail}")
    place = [policy.id for policy in outcome.policy_set.policies].index(example.policy_id)
    return ExampleResult(
        example,
        score=float(outcome.scores[place]),
        threshold=outcome.policy_set.policies[place].threshold,
        flagged=bool(outcome.flagged[place]),
        # Outside its scope a policy says no, which is what an example without a flag may want.
        in_scope=bool(outcome.in_scope[place]) or not example.says.flag,
    )


def _of(written: ParsedPolicy) -> Iterator[Example]:
    for number, says in enumerate(written.file.examples):
        document, place = written.resolved.written_at(("examples", number, "image"))
        image = document.path.parent / says.image
        yield Example(written.file.id, image, says, document.path, document.position(place))
