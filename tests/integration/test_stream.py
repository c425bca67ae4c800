"""The stream on a real broker and a real Triton."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from pipeline.broker.producer import Message
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.stack.broken_images import broken_images
from tests.support.stream import Stack, Stream, header
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def photographs(samples: Path) -> list[Path]:
    return sorted((samples / "images").rglob("*.jpg"))[::5]


def test_two_workers_give_every_record_its_outcome_once(
    stack: Stack, tmp_path: Path, photographs: list[Path], revolver: bytes
) -> None:
    """Good and broken records become verdicts and dead letters, exactly one each, with the right reasons."""
    broken = list(broken_images(revolver))
    with Stream(stack, tmp_path) as stream:
        sent = stream.send(stream.image(path.name + str(i), path.read_bytes()) for i, path in enumerate(photographs))
        sent += stream.send(stream.image(each.name, each.value, each.content_type) for each in broken)
        workers = [stream.worker(), stream.worker()]
        stream.wait_until_committed(sent)
        for worker in workers:
            worker.signal(signal.SIGTERM)
        assert [worker.wait(30) for worker in workers] == [0, 0]
        counted = stream.audit()
        assert counted.adds_up, counted
        assert (counted.verdicts, counted.dead_letters) == (len(photographs), len(broken))
        reasons = {header(letter, "ce_id"): header(letter, "watchword-reason") for letter in stream.dead_letters()}
        assert reasons == {each.name: each.reason.value for each in broken}
        values = {header(letter, "ce_id"): letter.value for letter in stream.dead_letters()}
        assert values == {each.name: each.value for each in broken}


def test_every_flag_can_be_recomputed_from_its_embedding(
    stack: Stack, tmp_path: Path, photographs: list[Path], policies: Path, encoder: LocalEncoder
) -> None:
    """The archived embedding, judged by the flag's policy set, gives the same scores and flags."""
    with Stream(stack, tmp_path) as stream:
        sent = stream.send(stream.image(str(path), path.read_bytes()) for path in photographs)
        stream.worker()
        stream.wait_until_committed(sent)
        judge = Judge(build_prompt_bank(load_policy_set(policies), encoder))
        embeddings = {header(r, "event-id"): r for r in stream.records(stream.settings.topic_embeddings)}
        ids = [policy.id for policy in judge.bank.policy_set.policies]
        remade = set()
        for verdict in stream.verdicts():
            record = embeddings[verdict["event"]["id"]]
            assert header(record, "model-digest") == verdict["model_digest"] == judge.bank.model_digest
            assert verdict["policy_set_digest"] == judge.bank.policy_set.digest
            scores = judge.judge(np.frombuffer(record.value or b"", "<f2")[None])
            stored = [policy["score"] for policy in verdict["policies"]]
            np.testing.assert_allclose(scores.raw[0], stored, atol=1e-4)
            flagged = scores.flagged[0].tolist()
            assert flagged == [policy["flagged"] for policy in verdict["policies"]]
            remade |= {(verdict["event"]["id"], ids[place]) for place in np.flatnonzero(scores.flagged[0])}
        assert remade == {(flag["event"]["id"], flag["policy"]["id"]) for flag in stream.flags()}
        assert remade


def test_a_bare_image_without_headers_is_judged_and_named_by_its_position(
    stack: Stack, tmp_path: Path, revolver: bytes
) -> None:
    with Stream(stack, tmp_path, partitions=1) as stream:
        stream.send([Message(stream.settings.topic_images, None, revolver)])
        stream.worker()
        stream.wait_until_committed(1)
        [verdict] = stream.verdicts()
        assert verdict["event"]["id"] == f"{stream.settings.topic_images}/0/0"
        assert [flag["policy"]["id"] for flag in stream.flags()] == ["weapons.firearms"]


def test_a_flag_has_the_attributes_of_its_event(stack: Stack, tmp_path: Path, revolver: bytes) -> None:
    with Stream(stack, tmp_path) as stream:
        stream.send([stream.image("one", revolver, extensions={"region": "eu", "surface": "listing"})])
        stream.worker()
        stream.wait_until_committed(1)
        [flag] = stream.flags()
        assert flag["event"]["attributes"] == {"region": "eu", "surface": "listing"}


def test_a_file_reference_under_an_allowed_root_is_judged(stack: Stack, tmp_path: Path, samples: Path) -> None:
    [photograph, *_] = sorted((samples / "images/revolver").iterdir())
    roots = json.dumps([str(samples)])
    with Stream(stack, tmp_path, WATCHWORD_FILE_ROOTS=roots) as stream:
        inside = json.dumps({"uri": photograph.as_uri()}).encode()
        outside = json.dumps({"uri": Path("/etc/passwd").as_uri()}).encode()
        stream.send([stream.image("in", inside, "application/json"), stream.image("out", outside, "application/json")])
        stream.worker()
        stream.wait_until_committed(2)
        assert [verdict["event"]["id"] for verdict in stream.verdicts()] == ["in"]
        assert [header(letter, "watchword-reason") for letter in stream.dead_letters()] == ["reference_forbidden"]


def test_an_image_over_the_limit_is_kept_whole_among_the_dead_letters(stack: Stack, tmp_path: Path) -> None:
    large = np.random.default_rng(1).bytes(60_000)
    with Stream(stack, tmp_path, WATCHWORD_MAX_IMAGE_BYTES="20000") as stream:
        stream.send([stream.image("large", large)])
        stream.worker()
        stream.wait_until_committed(1)
        [letter] = stream.dead_letters()
        assert header(letter, "watchword-reason") == "too_large"
        assert letter.value == large


def test_a_worker_continues_where_the_last_one_stopped(stack: Stack, tmp_path: Path, photographs: list[Path]) -> None:
    """SIGTERM drains the chunks in flight. A later worker judges the rest, and no record twice."""
    with Stream(stack, tmp_path, WATCHWORD_CHUNK_MAX_RECORDS="16") as stream:
        sent = stream.send(stream.image(str(path), path.read_bytes()) for path in photographs)
        first = stream.worker()
        stream.wait_until_committed(1)
        first.signal(signal.SIGTERM)
        assert first.wait(30) == 0
        stream.worker()
        stream.wait_until_committed(sent)
        assert stream.audit().adds_up


def test_a_broken_producer_does_not_drain_the_topic(stack: Stack, tmp_path: Path) -> None:
    """
    Over the limit of dead letters the worker exits with 3 and commits none of them; the override lets them through.
    """
    with Stream(stack, tmp_path, WATCHWORD_DEAD_LETTER_MINIMUM="10") as stream:
        stream.send(stream.image(str(i), b"no image") for i in range(40))
        worker = stream.worker()
        assert worker.wait(60) == 3
        assert "WATCHWORD_ALLOW_DEAD_LETTERS" in worker.tail()
        assert stream.committed() == 0
        assert not stream.dead_letters()
        stream.worker(WATCHWORD_ALLOW_DEAD_LETTERS="true")
        stream.wait_until_committed(40)
        assert len(stream.dead_letters()) == 40


def test_of_two_workers_with_one_id_one_exits_with_an_error(stack: Stack, tmp_path: Path, revolver: bytes) -> None:
    with Stream(stack, tmp_path) as stream:
        stream.send([stream.image("one", revolver)])
        first = stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-same")
        stream.wait_until_committed(1)
        second = stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-same")
        wait_until(lambda: not (first.running() and second.running()), 60, "one of the two to leave")
        ended, other = (first, second) if not first.running() else (second, first)
        assert ended.exit_code() == 4
        assert "WATCHWORD_INSTANCE_ID" in ended.tail()
        assert other.running()


def test_a_bad_policy_edit_changes_nothing_and_a_good_one_takes_over(
    stack: Stack, tmp_path: Path, policies: Path, revolver: bytes
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(policies, folder)
    edited = folder / "weapons-firearms.yaml"
    good = edited.read_text()
    with Stream(stack, tmp_path, WATCHWORD_POLICIES=str(folder)) as stream:
        worker = stream.worker()
        stream.send([stream.image("before", revolver)])
        stream.wait_until_committed(1)
        edited.write_text(good.replace("threshold:", "treshold:"))
        wait_until(lambda: "did you mean `threshold`?" in worker.tail(), 20, "the refusal in the log")
        stream.send([stream.image("during", revolver)])
        stream.wait_until_committed(2)
        edited.write_text(good.replace("mode: enforce", "mode: shadow"))
        wait_until(lambda: worker.tail(100).count("policy_set_active") == 2, 20, "the new set")
        stream.send([stream.image("after", revolver)])
        stream.wait_until_committed(3)
        assert sorted(flag["event"]["id"] for flag in stream.flags()) == ["before", "during"]
        digests = {verdict["event"]["id"]: verdict["policy_set_digest"] for verdict in stream.verdicts()}
        assert digests["before"] == digests["during"] != digests["after"]
