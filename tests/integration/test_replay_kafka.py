"""Labelled streams through a real broker and Triton, and labelled ranges of a topic."""

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.broker.topics import partitions_of, topic_names
from pipeline.cli.main import app
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledImage, LabelledStream, read_stream
from pipeline.operations.stream.replay import replay_stream
from pipeline.operations.stream.replay_kafka import replay_through_kafka
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings
from tests.support.stream import Stack, Stream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("remembered")]


def test_verdicts_through_kafka_and_triton_equal_those_in_process(
    stack: Stack, tmp_path: Path, samples: Path, policies: Path
) -> None:
    """This holds for every photograph of `val` and for a broken file. Nothing is left on the broker."""
    given = read_stream(samples, "val")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    images = (*given.images, LabelledImage("broken", broken, "replay", {}, frozenset(), "broken"))
    stream = LabelledStream(images, given.policies)
    with Stream(stack, tmp_path) as other:
        # Of the environment nothing is needed: the worker has the settings of the workbench.
        workbench = Workbench(other.settings, user="ana")
        through = replay_through_kafka(workbench, stream, policies)
        names = [other.settings.topic_images, other.settings.topic_verdicts]
        assert {place.topic for place in partitions_of(other.connection, names)} == set(names), "others' topics stay"
        assert not [name for name in topic_names(other.connection) if name.startswith("replay-")]
    inside = replay_stream(workbench, stream, load_policy_set(policies))
    assert through.images == inside.images
    assert len(through.images) == len(given.images) > 400
    np.testing.assert_array_equal(through.flagged, inside.flagged)
    np.testing.assert_array_equal(through.in_scope, inside.in_scope)
    np.testing.assert_allclose(through.scores, inside.scores, atol=1e-4)
    assert (through.policy_set_digest, through.model_digest) == (inside.policy_set_digest, inside.model_digest)
    [(name, reason)] = through.unjudged
    assert name == "broken"
    assert reason.startswith("unsupported_format")


def test_ids_that_repeat_are_refused(samples: Path, policies: Path) -> None:
    image, workbench = read_stream(samples, "val").images[0], Workbench(Settings(), user="ana")
    with pytest.raises(UsageError, match="1 image with the id of another"):
        replay_through_kafka(workbench, LabelledStream((image, image), image.right), policies)


def run(stream: Stream, *arguments: str) -> Result:
    with mock.patch.dict(os.environ, stream.environment):
        return CliRunner().invoke(app, ["replay", f"kafka:{stream.settings.topic_images}", *arguments])


def test_a_range_of_a_topic_is_a_labelled_stream(stack: Stack, tmp_path: Path, samples: Path) -> None:
    """Labelled records of the period are judged with their attributes; other records are not read as images."""
    revolvers, watches = (sorted((samples / "images" / kind).iterdir())[:4] for kind in ("revolver", "watch"))
    labels = tmp_path / "decided.csv"
    with labels.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "policies"])
        writer.writerows([path.name + path.parent.name, "weapons.firearms"] for path in revolvers)
        writer.writerows([path.name + path.parent.name, ""] for path in watches)
        writer.writerow(["never sent", ""])
    with Stream(stack, tmp_path) as stream:
        extensions = {"surface": "listing"}
        stream.send(
            stream.image(path.name + path.parent.name, path.read_bytes(), extensions=extensions)
            for path in [*revolvers, *watches]
        )
        stream.send([stream.image("without a label", revolvers[0].read_bytes()), stream.image("broken", b"")])
        found = run(stream, "--labels", str(labels), "--format", "json", "--slice", "surface")
        assert found.exit_code == 0, found.stderr
        fields = json.loads(found.stdout)
        assert fields["images"] == 8
        assert fields["policies"]["weapons.firearms"]["true_positives"] >= 3
        assert list(fields["slices"]["surface"]) == ["listing"]
        assert "8 of 9 events with labels" in found.stderr
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert "none of 9 events with labels" in str(run(stream, "--labels", str(labels), "--since", later).exception)
        whole = run(stream, "--labels", str(labels), "--since", "2020-01-01", "--until", later, "--format", "json")
        assert json.loads(whole.stdout)["images"] == 8
        assert "needs `--labels FILE`" in str(run(stream).exception)
        assert "a day or a time" in str(run(stream, "--labels", str(labels), "--since", "monday").exception)


def test_a_missing_topic_is_named(stack: Stack, tmp_path: Path) -> None:
    labels = tmp_path / "decided.csv"
    labels.write_text("id,policies\none,\n")
    with Stream(stack, tmp_path) as stream, mock.patch.dict(os.environ, stream.environment):
        refused = CliRunner().invoke(app, ["replay", "kafka:nothing-here", "--labels", str(labels)])
        assert "there is no topic `nothing-here`" in str(refused.exception)
