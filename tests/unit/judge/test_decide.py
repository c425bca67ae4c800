"""From scores to flags: scopes, expiry dates, and children that raise a flag's severity."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from ruamel.yaml import YAML

from pipeline.emit.formats import flag_record, verdict_record
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.events.images import DecodedImage, Picture
from pipeline.events.outcomes import Verdict
from pipeline.events.records import ImageEvent, Origin
from pipeline.judge.score import Judge
from pipeline.judge.verdicts import judge_images
from pipeline.policies.load import load_policy_set

ASYNCAPI = Path(__file__).parents[3] / "docs/events.asyncapi.yaml"
WORDS = ["gun", "aimed", "stapler", "street"]
POLICY = """\
id: guns
title: Guns
prompts: [gun]
contrast: [stapler]
templates: ["{}"]
threshold: 0.5
severity: medium
action: review
owner: safety
mode: enforce
labels: { law: X }
"""
CHILD = """\
children:
  - { id: aimed, title: Aimed, prompts: [aimed], threshold: 0.5, severity: critical }
"""
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


class Directions:
    """A text tower that gives each word a separate direction."""

    model_digest, logit_scale = "0" * 64, 10.0

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(len(WORDS), dtype=np.float32)[[WORDS.index(text) for text in texts]]


def judged(folder: Path, text: str, *shown: str, time: datetime = NOON, **attributes: str) -> Verdict:
    """Return the verdict on an image that shows these words at once."""
    (folder / "guns.yaml").write_text(text)
    (folder / "background.yaml").write_text('prompts: [street]\ntemplates: ["{}"]\n')
    judge = Judge(build_prompt_bank(load_policy_set(folder), Directions()))
    event = ImageEvent(Origin("images", 0, 1), "id", "shop", None, attributes, b"")
    picture = Picture(np.zeros((2, 2, 3), dtype=np.uint8), "jpeg", 2, 2, animated=False)
    vector = np.sum([np.eye(len(WORDS))[WORDS.index(word)] for word in shown], axis=0)
    embedding = (vector / np.linalg.norm(vector)).astype(np.float32)[None]
    [verdict] = judge_images([DecodedImage(event, picture, "0" * 64)], embedding, judge, time)
    return verdict


def valid(message: str, payload: bytes) -> Any:
    document = YAML(typ="safe").load(ASYNCAPI)
    schema = {"components": document["components"], **document["components"]["messages"][message]["payload"]}
    fields = orjson.loads(payload)
    Draft202012Validator(schema).validate(fields)
    return fields


def test_a_policy_has_no_answer_outside_its_scope(tmp_path: Path) -> None:
    """A verdict on an image outside the scope does not name the policy."""
    scoped = POLICY + "scope: { surface: avatar }\n"
    inside, outside = judged(tmp_path, scoped, "gun", surface="avatar"), judged(tmp_path, scoped, "gun", surface="post")
    assert [flag.policy.id for flag in inside.flags] == ["guns"]
    assert outside.flags == ()
    assert [entry["id"] for entry in valid("verdict", verdict_record(inside).value)["policies"]] == ["guns"]
    assert valid("verdict", verdict_record(outside).value)["policies"] == []


@pytest.mark.parametrize(
    ("shown", "severity", "raised_by"),
    [(["gun"], "medium", []), (["gun", "aimed"], "critical", ["guns.aimed"])],
)
def test_a_child_raises_the_severity_of_its_parents_flag(
    tmp_path: Path, shown: list[str], severity: str, raised_by: list[str]
) -> None:
    """The child raises no flag."""
    verdict = judged(tmp_path, POLICY + CHILD, *shown)
    [flag] = verdict.flags
    fields = valid("flag", flag_record(verdict, flag).value)
    assert fields["policy"]["severity"] == severity
    assert [each["id"] for each in fields["raised_by"]] == raised_by
    assert fields["policy"]["labels"] == {"law": "X"}


def test_a_child_never_matches_without_its_parent(tmp_path: Path) -> None:
    verdict = judged(tmp_path, POLICY + CHILD, "aimed")
    answers = {policy.id: flagged for policy, _, flagged in verdict.answers()}
    assert answers == {"guns": False, "guns.aimed": False}
    assert verdict.scores[1] > 0.5


def test_a_policy_past_its_last_day_is_scored_and_flags_nothing(tmp_path: Path) -> None:
    text = POLICY + "expires: 2027-01-31\n"
    assert len(judged(tmp_path, text, "gun").flags) == 1
    late = judged(tmp_path, text, "gun", time=NOON.replace(month=2, day=1))
    assert late.flags == ()
    assert late.flagged.tolist() == [True]
