"""Tests of policies on their own examples."""

from pipeline.evaluation.replay.examples import ExampleResult, check_example, examples_of
from pipeline.ingest.folder import read_events
from pipeline.operations.workbench import Workbench
from pipeline.policies.folder import PolicyFolder


def run_examples(workbench: Workbench, policies: PolicyFolder, only: str | None = None) -> list[ExampleResult]:
    """
    Judge the examples of a folder's policies in this process, including policies that are `off`.

    `only`: the id of the one policy to test. Returns an empty list if there are no examples.
    Raises `UsageError` when an image is missing.
    """
    examples = [example for example in examples_of(policies) if only in (None, example.policy_id)]
    if not examples:
        return []
    bank = workbench.bank(policies.on_or_off())
    outcomes = workbench.outcomes(bank, [example.event for example in examples], read_events)
    return [check_example(example, outcome) for example, outcome in zip(examples, outcomes, strict=True)]
