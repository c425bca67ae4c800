"""Lint of a policy folder: all rules, minus the findings that policies silence."""

from collections.abc import Collection, Iterator
from datetime import date

from pipeline.events.policies import PolicySet, PromptBank
from pipeline.policies.folder import ParsedPolicy, PolicyFolder
from pipeline.policies.lint.embeddings import check_vectors
from pipeline.policies.lint.findings import Finding, finding
from pipeline.policies.lint.tokens import Tokenizer, check_tokens
from pipeline.policies.lint.wording import PeopleWords, check_words
from pipeline.policies.lint_rules import Rule
from pipeline.policies.model_compatibility import stale_policies

_CHANGED = {
    "prompts": "the threshold was fitted to other prompts, or another background, than these",
    "target": "the threshold was fitted to another target than this",
    "data": "the labels that the threshold was fitted to have changed since",
}


def lint(
    folder: PolicyFolder, bank: PromptBank, tokenizer: Tokenizer, models: Collection[str], today: date
) -> list[Finding]:
    """
    Return the findings in a folder's policies, in the order of files and lines.

    `bank` is the folder's set, encoded with the model that `tokenizer` belongs to. `models` has the digests of this
    model and, if it is an engine, of its bundle. Silenced findings are left out; a silence that hides nothing is a
    finding itself.
    """
    people = PeopleWords.load()
    found = list(check_vectors(folder.written, bank))
    for written in folder.written:
        found += check_words(written, people, today)
        found += check_tokens(written, tokenizer)
        found += _stale(written, bank.policy_set, models)
    silences = {written.file.id: written.file.silence for written in folder.written}
    kept = [each for each in found if each.rule not in silences[each.policy_id]]
    used = {(each.policy_id, each.rule) for each in found}
    for written in folder.written:
        kept += _unneeded(written, used)
    return sorted(kept, key=lambda each: (str(each.path), each.position.line, each.position.column, each.rule))


def _stale(written: ParsedPolicy, policy_set: PolicySet, models: Collection[str]) -> Iterator[Finding]:
    stale = {policy.id for policy in stale_policies(policy_set, models)}
    policies = {policy.id: policy for policy in policy_set.policies}
    for policy_id, prefix in written.parts():
        policy = policies.get(policy_id)
        if policy is None:
            continue
        if policy_id in stale:
            place = ("threshold",) if policy.calibration else ("threshold", "model")
            message = "the threshold was fitted for another model than this one"
            yield finding(Rule.STALE_THRESHOLD, written, (*prefix, *place), message)
        for changed in policy.calibration.stale if policy.calibration else ():
            yield finding(Rule.STALE_CALIBRATION, written, (*prefix, "threshold"), _CHANGED[changed])


def _unneeded(written: ParsedPolicy, used: Collection[tuple[str, Rule]]) -> Iterator[Finding]:
    for rule in written.file.silence:
        if (written.file.id, rule) not in used:
            message = f"`{rule}` finds nothing here"
            yield finding(Rule.UNNEEDED_SILENCE, written, ("silence", rule.value), message, key=True)
