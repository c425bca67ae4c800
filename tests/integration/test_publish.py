"""Policy sets published on the control topic of a real broker, and workers that judge by them."""

import json
import os
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner, Result

from pipeline.broker.table import TableReader, writing
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import policy_topic
from pipeline.cli.main import app
from pipeline.errors import CommitAborted
from pipeline.events.releases import in_sample
from pipeline.policies.load import load_policy_set
from pipeline.settings import POLICY_SET_BYTES
from tests.support.publishing import publish_edits, published_stream, two_policies, with_threshold
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def command(stream: Stream, *arguments: str) -> Result:
    with mock.patch.dict(os.environ, stream.environment):
        return CliRunner().invoke(app, ["policies", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_policies(tmp_path / "edited")


def test_history_grows_and_the_second_of_two_publishers_fails(stack: Stack, tmp_path: Path, folder: Path) -> None:
    """Cases: a first set, an edit, an edit of an old version, a rollback; an unchanged set is not published again."""
    with published_stream(stack, tmp_path) as stream:
        first = with_threshold(folder, 1.5)
        assert command(stream, "publish", str(folder), "--yes", "-m", "begin").exit_code == 0
        second = with_threshold(folder, 1.75)
        shown = command(stream, "diff", "current", str(folder))
        assert shown.exit_code == 1
        assert "threshold: 1.5 -> 1.75" in shown.stdout
        release = command(stream, "publish", str(folder), "--yes", "--author", "ana")
        assert json.loads(release.stdout)["digest"] == second
        again = command(stream, "publish", str(folder), "--yes")
        assert "nothing to publish" in again.stderr
        with_threshold(folder, 2.5)
        late = command(stream, "publish", str(folder), "--yes", "--parent", "1")
        assert "version 2 is active (by ana" in str(late.exception)
        assert "made from version 1" in str(late.exception)
        assert command(stream, "rollback", "--yes").exit_code == 0
        history = json.loads(command(stream, "history", "--format", "json").stdout)
        assert [(each["version"], each["parent"], each["digest"]) for each in history] == [
            (3, 2, first),
            (2, 1, second),
            (1, 0, first),
        ]
        assert [each["note"] for each in history] == ["back to version 1", "", "begin"]
        assert "threshold: 1.5 -> 1.75" in command(stream, "diff", "3", "2").stdout


def test_a_new_writer_fences_the_earlier_one(stack: Stack, tmp_path: Path) -> None:
    """So two people who read the same version and publish at once cannot both succeed."""
    with published_stream(stack, tmp_path) as stream:
        topic = policy_topic(stream.settings)
        ensure_topics(stream.connection, [topic])
        with writing(stream.connection, topic.name, max_record_bytes=POLICY_SET_BYTES) as slow:
            with writing(stream.connection, topic.name, max_record_bytes=POLICY_SET_BYTES) as quick:
                quick.write({"one": b"quick"})
            with pytest.raises(CommitAborted):
                slow.write({"one": b"slow"})
        with TableReader(stream.connection, topic.name) as reader:
            assert [record.value for record in reader.read_new()] == [b"quick"]
            assert reader.read_new() == []


def test_an_edit_that_lint_refuses_is_not_published(stack: Stack, tmp_path: Path, folder: Path) -> None:
    file = folder / "weapons-firearms.yaml"
    file.write_text(file.read_text().replace("prompts:\n", "prompts:\n  - no weapon at all\n", 1))
    with published_stream(stack, tmp_path) as stream:
        refused = command(stream, "publish", str(folder), "--yes")
        assert refused.exit_code == 1
        assert "negation" in refused.stderr
        assert json.loads(command(stream, "history", "--format", "json").stdout) == []


def test_a_worker_waits_for_a_first_set_and_takes_every_later_one(
    stack: Stack, tmp_path: Path, folder: Path, revolver: bytes
) -> None:
    with published_stream(stack, tmp_path) as stream:
        worker = stream.worker()
        stream.send([stream.image("early", revolver)])
        wait_until(lambda: "no policy set is published yet" in worker.tail(), 30, "the worker to say what it waits for")
        digests = [with_threshold(folder, 1.5)]
        command(stream, "publish", str(folder), "--yes")
        stream.wait_until_committed(1)
        digests.append(with_threshold(folder, 99.0))
        command(stream, "publish", str(folder), "--yes")
        wait_until(lambda: digests[1] in worker.tail(), 20, "the second set")
        stream.send([stream.image("late", revolver)])
        stream.wait_until_committed(2)
        assert [verdict["policy_set_digest"] for verdict in stream.verdicts()] == digests
        assert [flag["event"]["id"] for flag in stream.flags()] == ["early"]


def test_an_unreadable_set_leaves_the_newest_readable_one(
    stack: Stack, tmp_path: Path, folder: Path, revolver: bytes
) -> None:
    """A worker that starts then uses the set before, and logs why."""
    with published_stream(stack, tmp_path) as stream:
        good = with_threshold(folder, 1.5)
        command(stream, "publish", str(folder), "--yes")
        with TableReader(stream.connection, stream.settings.topic_policies) as reader:
            stored = {(record.key or b"").decode(): record.value or b"" for record in reader.read_new()}
        other = stored[f"set/{good}"].replace(b'"threshold":1.5', b'"threshold":0.5')
        release = stored["current"].replace(good.encode(), b"0" * 64).replace(b'"version":1', b'"version":2')
        topic = stream.settings.topic_policies
        with writing(stream.connection, topic, max_record_bytes=POLICY_SET_BYTES) as writer:
            writer.write({"set/" + "0" * 64: other, "version/2": release, "current": release})
        worker = stream.worker()
        stream.send([stream.image("one", revolver)])
        stream.wait_until_committed(1)
        assert [verdict["policy_set_digest"] for verdict in stream.verdicts()] == [good]
        assert "means something else here" in worker.tail(60)


def test_a_canary_judges_its_share_and_no_more(stack: Stack, tmp_path: Path, folder: Path, samples: Path) -> None:
    """
    The event id decides which images, so they are always the same; without the canary one set judges all images again.
    """
    photographs = sorted((samples / "images").rglob("*.jpg"))[:120]
    with published_stream(stack, tmp_path) as stream:
        live = with_threshold(folder, 1.5)
        command(stream, "publish", str(folder), "--yes")
        canary = with_threshold(folder, 99.0)
        command(stream, "publish", str(folder), "--yes", "--canary", "30%")
        stream.send(stream.image(path.name, path.read_bytes()) for path in photographs)
        worker = stream.worker()
        stream.wait_until_committed(len(photographs))
        expected = {path.name: canary if in_sample(0.3, "tests", path.name, "canary") else live for path in photographs}
        seen = {verdict["event"]["id"]: verdict["policy_set_digest"] for verdict in stream.verdicts()}
        assert seen == expected
        assert Counter(seen.values()).keys() == {live, canary}
        command(stream, "rollback", "--yes")
        wait_until(lambda: '"version": 3' in worker.tail() or "version=3" in worker.tail(), 20, "the canary's end")
        stream.send(stream.image(f"again-{path.name}", path.read_bytes()) for path in photographs)
        stream.wait_until_committed(2 * len(photographs))
        again = [each for each in stream.verdicts() if each["event"]["id"].startswith("again-")]
        assert {each["policy_set_digest"] for each in again} == {live}


def test_a_shadow_set_flags_nothing_and_is_promoted_by_its_verdicts(
    stack: Stack, tmp_path: Path, folder: Path, samples: Path
) -> None:
    photographs = sorted((samples / "images/revolver").glob("*.jpg"))
    with published_stream(stack, tmp_path) as stream:
        with_threshold(folder, 99.0)
        command(stream, "publish", str(folder), "--yes")
        with_threshold(folder, -99.0)
        assert command(stream, "publish", str(folder), "--yes", "--shadow").exit_code == 0
        stream.send(stream.image(path.name, path.read_bytes()) for path in photographs)
        stream.worker()
        stream.wait_until_committed(len(photographs))
        assert stream.flags() == []
        shown = command(stream, "promote", "--policies", str(folder))
        [row] = [line.split() for line in shown.stdout.splitlines() if line.startswith("weapons.firearms~shadow ")]
        assert row[1:3] == ["weapons.firearms", str(len(photographs))]
        assert row[-2:] == [str(len(photographs)), "0"], "newly flagged, newly cleared"
        assert command(stream, "promote", "weapons.firearms", "--policies", str(folder), "--yes").exit_code == 0
        history = json.loads(command(stream, "history", "--format", "json").stdout)
        assert history[0]["digest"] == load_policy_set(folder).digest
        assert history[0]["note"] == "promote weapons.firearms"


@pytest.mark.slow
def test_sets_change_under_load_and_every_verdict_is_of_one_of_them(
    stack: Stack, tmp_path: Path, folder: Path, samples: Path
) -> None:
    """Two workers see five changes: no record is lost or duplicated, and each verdict matches the set that it names."""
    photographs = sorted((samples / "images").rglob("*.jpg"))
    with published_stream(stack, tmp_path, WATCHWORD_CHUNK_MAX_RECORDS="32") as stream:
        outcome = publish_edits(stream, folder, photographs, images=900, changes=5)
        assert outcome.audit.adds_up, outcome.audit
        assert outcome.judged_by.keys() <= outcome.published.keys()
        assert len(outcome.judged_by) >= 4, "the changes came too late to be seen"
        assert outcome.contradictions == 0
