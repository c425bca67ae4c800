"""Each lint rule finds its case, and passes a near miss."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.cli.policies.lint_output import as_github, as_json, as_sarif, as_text
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import PolicyError
from pipeline.events.texts import Token
from pipeline.policies.lint.findings import Finding
from pipeline.policies.lint.run import lint
from pipeline.policies.lint_rules import RULES, Rule
from pipeline.policies.load import read_folder

TODAY = date(2027, 2, 1)
MODEL = "a" * 64
POLICY = f"""\
id: weapons.firearms
title: Firearms
prompts: [a revolver]
contrast: [a stapler]
threshold: {{ value: 2.5, model: {MODEL} }}
severity: medium
action: review
owner: safety
"""
OTHER = POLICY.replace("weapons.firearms", "toys.guns").replace("a revolver", "a toy").replace("a stapler", "a doll")


class Meanings:
    """A text tower that gives each text a separate direction, except texts that are declared near another."""

    model_digest, logit_scale = MODEL, 10.0

    def __init__(self, near: dict[str, tuple[str, float]]) -> None:
        self._near, self._known = near, dict[str, int]()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts]).astype(np.float32)

    def _vector(self, text: str) -> NDArray[np.float64]:
        own = np.eye(512)[self._known.setdefault(text, len(self._known))]
        for name, (other, cosine) in self._near.items():
            if name in text:
                own = cosine * self._vector(text.replace(name, other)) + np.sqrt(1 - cosine**2) * own
        return np.asarray(own)


class Words:
    """A tokenizer whose tokens are words, split at every dot. It does not know words with a question mark."""

    max_tokens = 10

    def tokens(self, text: str) -> list[Token]:
        found, start = [], 0
        for word in text.split():
            start = text.index(word, start)
            for part in word.replace(".", " ").split():
                position = text.index(part, start)
                found.append(Token(position, position + len(part), known="?" not in part))
                start = position + len(part)
        return found


def found(folder: Path, *texts: str, near: dict[str, tuple[str, float]] | None = None) -> list[Finding]:
    for number, text in enumerate(texts):
        (folder / f"p{number}.yaml").write_text(text)
    policies = read_folder(folder)
    bank = build_prompt_bank(policies.compose(), Meanings(near or {}))
    return lint(policies, bank, Words(), {MODEL}, TODAY)


def prompts(*texts: str) -> str:
    return POLICY.replace("[a revolver]", json.dumps(list(texts)))


CASES: dict[Rule, tuple[str, str]] = {
    Rule.NEGATION: (prompts("a man without a gun"), prompts("a knot of rope", "a notebook", "perfume No. 5")),
    Rule.TOO_LONG: (prompts("a b c d e f g"), prompts("a b c d e f")),
    Rule.SHATTERED_WORD: (prompts("a ba.li.so.ng"), prompts("a re.vol.ver")),
    Rule.JOINED_PHRASES: (prompts("a rifle - a lamp"), prompts("an AK-47", "a close-up -or two")),
    Rule.IDENTITY_TARGET: (prompts("a photo of black women"), prompts("a black gun", "a woman with a gun")),
    Rule.NO_CONTRAST: (
        POLICY.replace("[a stapler]", "[]"),
        POLICY.replace("contrast: [a stapler]", "score: similarity"),
    ),
    Rule.STALE_THRESHOLD: (POLICY.replace(MODEL, "b" * 64), POLICY),
    Rule.EXPIRED: (POLICY + "expires: 2027-01-31\n", POLICY + "expires: 2027-02-01\n"),
    Rule.UNNEEDED_SILENCE: (
        POLICY + "silence: { negation: a brand is called so }\n",
        prompts("no logo") + "silence: { negation: a brand is called so }\n",
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_its_case_and_not_the_near_miss(tmp_path: Path, rule: Rule) -> None:
    case, near_miss = CASES[rule]
    assert [each.rule for each in found(tmp_path, case)] == [rule]
    assert found(tmp_path, near_miss) == []


@pytest.mark.parametrize(
    "text", ["a street without people", "not a gun", "no weapon", "it isn't food", "free of blood"]
)
def test_negation_has_many_words(tmp_path: Path, text: str) -> None:
    assert Rule.NEGATION in {each.rule for each in found(tmp_path, prompts(text))}


def test_an_unknown_word_is_found(tmp_path: Path) -> None:
    [finding] = found(tmp_path, prompts("a b?lisong"))
    assert (finding.rule, finding.message) == (Rule.SHATTERED_WORD, "`b?lisong` is unknown in `a b?lisong`")


NEAR: dict[Rule, tuple[tuple[str, ...], tuple[str, str], float]] = {
    Rule.NEAR_DUPLICATE: ((prompts("a revolver", "a sixgun"),), ("sixgun", "revolver"), 0.9),
    Rule.NEAR_CONTRAST: ((POLICY.replace("a stapler", "a cap gun"),), ("cap gun", "revolver"), 0.8),
    Rule.NEAR_BACKGROUND: ((POLICY,), ("revolver", "barrel"), 0.8),
    Rule.NEAR_OTHER_POLICY: ((POLICY, OTHER.replace("a toy", "a sixgun")), ("sixgun", "revolver"), 0.9),
}


@pytest.mark.parametrize("rule", NEAR)
def test_texts_that_mean_the_same_to_the_model_are_found(tmp_path: Path, rule: Rule) -> None:
    """They are found from a certain nearness on."""
    files, (text, other), limit = NEAR[rule]
    assert [each.rule for each in found(tmp_path, *files, near={text: (other, limit + 0.01)})] == [rule]
    assert found(tmp_path, *files, near={text: (other, limit - 0.01)}) == []


def test_a_child_may_be_near_its_parent(tmp_path: Path) -> None:
    child = "children: [{ id: c, title: C, prompts: [a sixgun], contrast: [x], threshold: 1, severity: high }]\n"
    assert found(tmp_path, POLICY + child, near={"sixgun": ("revolver", 0.99)}) == []


def test_every_rule_has_a_case() -> None:
    """The rule about stale calibrations needs a fit; its case is in test_calibrate.py."""
    assert CASES.keys() | NEAR.keys() | {Rule.STALE_CALIBRATION} == set(Rule) == RULES.keys()


def test_a_finding_is_shown_with_its_place_its_reason_and_what_to_do(tmp_path: Path) -> None:
    """In a shared list, the position is that of the list."""
    (tmp_path / "shared.yaml").write_text("phrases:\n  guns: [a revolver, no gun]\n")
    shown = as_text(found(tmp_path, POLICY.replace("[a revolver]", "{ use: guns }"))).replace(f"{tmp_path}/", "")
    assert (
        shown
        == """\
shared.yaml:2:22: error: `no` in `no gun` is not understood [negation]
    2 |   guns: [a revolver, no gun]
      |                      ^^^^^^
      = a CLIP model ignores negation: it looks for the thing that is negated (NegBench, Alhamoud et al. 2025)
      = write what the image shows instead, or list what is fine under `contrast`

1 error"""
    )


def test_a_cut_text_is_reported_with_the_part_that_is_read(tmp_path: Path) -> None:
    [finding] = found(tmp_path, prompts("one two three four five six seven"))
    assert finding.message == "the tower reads no further than `a close-up photo of one two three four five six`"


def test_silence_needs_an_existing_rule_and_a_reason(tmp_path: Path) -> None:
    for silence, message in (("{ negaton: x }", "negation"), ("{ negation: '' }", "at least 1 character")):
        with pytest.raises(PolicyError, match=message):
            found(tmp_path, POLICY + f"silence: {silence}\n")


def lint_command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policies", "lint", *map(str, arguments)])


def test_rules_are_selected_and_ignored_by_name(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        prompts("a man without a gun", "a gun - a rifle").replace(f"{{ value: 2.5, model: {MODEL} }}", "2.5")
    )
    both = lint_command(tmp_path, "--select", "negation", "--select", "joined-phrases", "--format", "json")
    assert {each["rule"] for each in json.loads(both.stdout)} == {"negation", "joined-phrases"}
    one = lint_command(tmp_path, "--select", "negation", "--select", "joined-phrases", "--ignore", "negation")
    assert one.exit_code == 1
    assert "[joined-phrases]" in one.stdout
    assert "[negation]" not in one.stdout
    assert lint_command(tmp_path, "--select", "expired").exit_code == 0


@pytest.mark.parametrize("option", ["--select", "--ignore", "--explain"])
def test_a_misspelt_rule_gets_the_nearest_name(tmp_path: Path, option: str) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    refused = lint_command(tmp_path, option, "negaton")
    assert str(refused.exception) == "no lint rule `negaton`, did you mean `negation`?"
    assert "the rules are `negation`, `too-long`" in str(lint_command(tmp_path, option, "zzz").exception)


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_is_explained_without_a_folder(rule: Rule) -> None:
    shown = lint_command("no-such-folder", "--explain", rule.value)
    assert shown.exit_code == 0
    assert RULES[rule].why in shown.stdout
    assert RULES[rule].advice in shown.stdout


def test_the_advice_about_the_background_names_the_command_and_its_effect() -> None:
    advice = RULES[Rule.NEAR_BACKGROUND].advice
    for part in ("watchword policies background", "score: similarity", "every policy", "watchword policies backtest"):
        assert part in advice


def test_findings_are_written_for_machines(tmp_path: Path) -> None:
    """JSON, SARIF and GitHub annotations have the file, line and column of each finding."""
    findings = found(tmp_path, prompts("a man without a gun"))
    path = str(tmp_path / "p0.yaml")
    [fields] = json.loads(as_json(findings))
    assert (fields["rule"], fields["file"], fields["line"], fields["column"]) == ("negation", path, 3, 11)
    [run] = json.loads(as_sarif(findings))["runs"]
    [result] = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == path
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (3, 11)
    assert result["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert as_github(findings).startswith(f"::error file={path},line=3,col=11,title=negation::`without` in ")


def test_an_annotation_is_one_line_for_any_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "a,line=9::b%\n::error file=evil\r"
    folder.mkdir()
    text = as_github(found(folder, POLICY.replace("[a revolver]", "[no gun]")))
    assert text.splitlines() == [text]
    path, _, rest = text.removeprefix("::error file=").partition(",")
    assert path.endswith("a%2Cline=9%3A%3Ab%25%0A%3A%3Aerror file=evil%0D/p0.yaml")
    assert rest.startswith("line=")
    assert text.count("::") == 2, "before the command, and before its message"
