"""Policy folder: its parsed files, and the policies made from them with their fitted thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from pipeline.errors import UsageError
from pipeline.events.policies import Head, Mode, Policy, PolicySet
from pipeline.policies.calibrations import Calibrations
from pipeline.policies.compile import Fit, as_written, background_of, compose, policies_of
from pipeline.policies.diagnostics import Diagnostics, NodePath
from pipeline.policies.resolve import Resolved
from pipeline.policies.schema import BackgroundFile, PolicyFile, Target, Threshold


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """A policy file, its resolved content and its head, if it has one."""

    resolved: Resolved
    file: PolicyFile
    head: Head | None = None

    def parts(self) -> Iterator[tuple[str, NodePath]]:
        """Yield the id of the policy and of each child, with its path in the file."""
        yield self.file.id, ()
        for number, child in enumerate(self.file.children):
            yield f"{self.file.id}.{child.id}", ("children", number)


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """The parsed files of a policy folder, and its calibrations."""

    written: tuple[ParsedPolicy, ...]
    background: BackgroundFile
    calibrations: Calibrations

    def policies(self) -> list[Policy]:
        """
        Return every policy, including children and those that are off.

        Raises `PolicyError` with the position of each threshold that has a target and was not fitted to it.
        """
        diagnostics = Diagnostics()
        found = self._fitted(diagnostics)
        diagnostics.raise_any()
        return found

    def compose(self) -> PolicySet:
        """Return the policy set. Raises the errors of `policies`."""
        return compose(self.policies(), background_of(self.background))

    def with_unfitted_at_zero(self) -> PolicySet:
        """Return every policy, on or off. An unfitted one gets the threshold 0, where prompts and contrast balance."""
        return self._on_or_off(self._fitted(Diagnostics()))

    def on_or_off(self) -> PolicySet:
        """Return the policy set including policies that are `off`. Raises the errors of `policies`."""
        return self._on_or_off(self.policies())

    def scores_only(self) -> PolicySet:
        """
        Return a policy set that is used only to compute scores, not flags.

        It contains every policy, on or off, in shadow, whether or not its threshold is fitted.
        """
        policies = [policy for each in self.written for policy in policies_of(each.file, as_written, each.head)]
        shadows = [replace(policy, mode=Mode.SHADOW) for policy in policies]
        return compose(shadows, background_of(self.background))

    def threshold_of(self, policy_id: str) -> Threshold:
        """Return the threshold of a policy or a child, as written. Raises `UsageError` for an unknown id."""
        for written in self.written:
            for part, node_path in written.parts():
                if part == policy_id:
                    return written.file.children[int(node_path[1])].threshold if node_path else written.file.threshold
        raise UsageError(f"no policy `{policy_id}`")

    def _on_or_off(self, policies: list[Policy]) -> PolicySet:
        on = [replace(policy, mode=Mode.SHADOW) if policy.mode is Mode.OFF else policy for policy in policies]
        return compose(on, background_of(self.background))

    def _fitted(self, diagnostics: Diagnostics) -> list[Policy]:
        """Return every policy, and add an error for each one that is not fitted yet."""
        return [
            policy
            for each in self.written
            for policy in policies_of(each.file, self._fit(each, diagnostics), each.head)
        ]

    def _fit(self, written: ParsedPolicy, diagnostics: Diagnostics) -> Fit:
        node_paths = dict(written.parts())
        background = background_of(self.background)

        def fit(policy: Policy, threshold: Threshold) -> Policy:
            target = threshold.target
            if target is None:
                return as_written(policy, threshold)
            if policy.id not in self.calibrations.files:
                where, message = (*node_paths[policy.id], "threshold"), partial(_unfitted, policy, target)
                diagnostics.error(written.resolved, where, message, kind=f"unfitted {policy.id}")
                return policy
            return self.calibrations.fit(policy, target, background)

        return fit


def _unfitted(policy: Policy, target: Target) -> str:
    if target.queue is not None:
        return f"not fitted to {target} yet: `watchword policies calibrate {policy.id} --images FOLDER --per-day N`"
    return (
        f"not fitted to {target} yet: `watchword policies calibrate {policy.id}` takes `--labels FILE`, or "
        f"`--decisions` made with `watchword policies label {policy.id}`; without labels, "
        "`threshold: { queue: 200/day }` works"
    )
