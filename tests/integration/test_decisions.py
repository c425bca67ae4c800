"""Decisions on a real broker: added by hand, and counted in precision, metrics and thresholds."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.stack.worker_process import WorkerProcess
from tests.support.archiving import PYTHON
from tests.support.ports import free_ports
from tests.support.publishing import two_policies
from tests.support.stream import REPOSITORY, Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

POLICY = "weapons.firearms"


@pytest.fixture
def stream(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """A stream with the settings of this process and a separate archive."""
    with Stream(stack, tmp_path, WATCHWORD_ARCHIVE=str(tmp_path / "archive")) as stream:
        for name, value in stream.environment.items():
            monkeypatch.setenv(name, value)
        yield stream


def watchword(*words: str) -> str:
    run = CliRunner().invoke(app, ["decisions", *words])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    assert run.exit_code == 0, run.output
    return run.stdout


def test_a_flag_is_overturned_by_its_id_and_shows_in_precision_and_metrics(
    stream: Stream, tmp_path: Path, samples: Path
) -> None:
    for number, path in enumerate(sorted((samples / "images/revolver").iterdir())[:6]):
        stream.send([stream.image(f"e{number}", path.read_bytes())])
    stream.worker()
    stream.wait_until_committed(6)
    flags = [flag for flag in stream.flags() if flag["policy"]["id"] == POLICY]
    assert len(flags) > 1
    first, *others = (flag["flag_id"] for flag in flags)
    watchword("add", "upheld", "--flag", first, "--reviewer", "ana")
    watchword("add", "overturned", "--flag", first, "--reviewer", "bo", "--note", "a toy")
    watchword("add", "upheld", *(word for flag_id in others for word in ("--flag", flag_id)), "--reviewer", "bo")
    rows = [json.loads(line) for line in watchword("show", "--format", "jsonl").splitlines()]
    assert [row["ruling"] for row in rows] == ["overturned"] + ["upheld"] * len(others)
    assert (rows[0]["reviewer"], rows[0]["note"], rows[0]["flag_id"]) == ("bo", "a toy", first)
    assert rows[0]["content"] == flags[0]["image"]["content_digest"]

    document = YAML(typ="safe").load(REPOSITORY / "docs/events.asyncapi.yaml")
    schemas = document["components"]["messages"]["decision"]
    for record in stream.records(stream.settings.topic_decisions):
        told = {name: (value or b"").decode() for name, value in record.headers}
        for part, given in (("payload", json.loads(record.value or b"")), ("headers", told)):
            schema = {"components": document["components"], **schemas[part]}
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(given)
        assert told["ce_type"] == "watchword.decision.v1"

    [port] = free_ports(1)
    watcher = WorkerProcess(
        "watch",
        tmp_path / "watch.log",
        {**stream.environment, "WATCHWORD_HTTP_PORT": str(port)},
        (*PYTHON, "decisions", "watch"),
    ).start()
    try:
        wait_until(lambda: _metrics(port).get((POLICY, "overturned")) == 1, 30, "the overturned flag in the metrics")
        assert _metrics(port)[POLICY, "upheld"] == len(others)
        assert _metrics(port)[POLICY, "value"] == pytest.approx(len(others) / len(flags))
        watchword("add", "upheld", "--flag", first)
        wait_until(lambda: _metrics(port).get((POLICY, "overturned")) == 0, 30, "the decision that came after it")
    finally:
        watcher.kill()


def _metrics(port: int) -> dict[tuple[str, str], float]:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return {}
    return {
        (sample.labels["policy"], sample.labels.get("ruling") or sample.labels["bound"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "policy" in sample.labels
    }


def test_an_invalid_decision_is_reported_and_nothing_is_sent(stream: Stream, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="decision 1: no flag `nowhere`"):
        watchword("add", "upheld", "--flag", "nowhere")
    with pytest.raises(UsageError, match="decision 1: `source`"):
        watchword("add", "missed", "--event", "e1", "--policy", POLICY)
    good = {"ruling": "missed", "policy": POLICY, "source": "s", "event_id": "e1"}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps({**good, 'ruling': 'maybe'})}\n")
    with pytest.raises(UsageError, match="decision 2: `ruling`"):
        watchword("add", "--from", str(tmp_path / "rows.jsonl"))
    assert watchword("show", "--format", "jsonl") == ""


def test_decisions_and_the_archive_fit_a_threshold_without_images(
    stream: Stream, tmp_path: Path, bundle: Bundle, encoder: LocalEncoder
) -> None:
    """All 240 archived images were decided: 120 are right and score high."""
    rng = np.random.default_rng(6)
    texts = encoder.encode_texts(["a revolver", "a tree"])
    noisy = texts[np.arange(240) % 2] + rng.normal(0, 0.02, (240, texts.shape[1]))
    vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
    now = datetime.now(UTC)
    rows = [
        ArchivedEmbedding(f"i/0/{n}", bundle.digest, f"e{n}", "shop", "{}", f"{n:064x}", now, "s", vectors[n])
        for n in range(240)
    ]
    Archive(str(tmp_path / "archive")).add(rows)
    about = {"policy": POLICY, "source": "shop", "probability": 1.0}
    told = [{**about, "ruling": "passed" if n % 2 else "upheld", "event_id": f"e{n}"} for n in range(240)]
    (tmp_path / "told.jsonl").write_text("\n".join(json.dumps(each) for each in told))
    assert watchword("add", "--from", str(tmp_path / "told.jsonl")) == "240 decisions\n"
    folder = two_policies(tmp_path / "policies")
    file = folder / "weapons-firearms.yaml"
    text = file.read_text()
    start = text.index("threshold:")
    line = text[start : text.index("\n", start)]
    file.write_text(text.replace(line, "threshold: { precision: 0.95 }"))
    run = CliRunner().invoke(app, ["policies", "calibrate", POLICY, "--policies", str(folder), "--decisions"])
    assert run.exit_code == 0, (run.output, run.exception)
    fitted = json.loads((folder / f"calibrations/{POLICY}.json").read_text())
    assert (fitted["evidence"]["labels"], fitted["evidence"]["right"], fitted["data_file"]) == (240, 120, None)
    assert fitted["evidence"]["hits"] == fitted["evidence"]["flags"] >= 59
