"""Traces of a real worker: chunks linked to their records' traces; without a collector the stream goes on."""

import dataclasses
import json
import signal
from pathlib import Path

import pytest

from pipeline.broker.producer import Message
from tests.support.collector import collector
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

IMAGES = 12


def traced(stream: Stream, value: bytes, trace: int) -> Message:
    """Return an image event whose producer's trace has the id `trace`."""
    message = stream.image(f"traced-{trace}", value)
    header = ("traceparent", f"00-{trace:032x}-{trace:016x}-01".encode())
    return dataclasses.replace(message, headers=(*message.headers, header))


def test_a_chunk_is_linked_to_the_traces_of_its_records(stack: Stack, tmp_path: Path, revolver: bytes) -> None:
    with collector() as found, Stream(stack, tmp_path) as stream:
        worker = stream.worker(WATCHWORD_TRACES_RATIO="1", WATCHWORD_TRACES_ENDPOINT=found.endpoint)
        stream.send(traced(stream, revolver, trace) for trace in range(1, IMAGES + 1))
        stream.wait_until_committed(IMAGES)
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        chunks = found.named("chunk")
        linked = sorted(int.from_bytes(link.trace_id) for chunk in chunks for link in chunk.links)
        assert linked == list(range(1, IMAGES + 1)), "the last spans were sent when the worker stopped"
        for name in ("decode", "encode", "judge", "commit"):
            assert {span.parent_span_id for span in found.named(name)} == {chunk.span_id for chunk in chunks}
        assert not [span for span in found.spans if b"traced-" in span.SerializeToString()]


def test_without_a_collector_the_stream_goes_on(stack: Stack, tmp_path: Path, revolver: bytes) -> None:
    """The worker says that traces are lost, judges on, and stops as fast as ever."""
    [port] = free_ports(1)
    with Stream(stack, tmp_path) as stream:
        endpoint = f"http://127.0.0.1:{port}/v1/traces"
        worker = stream.worker(WATCHWORD_TRACES_RATIO="1", WATCHWORD_TRACES_ENDPOINT=endpoint)
        stream.send(traced(stream, revolver, trace) for trace in range(1, IMAGES + 1))
        stream.wait_until_committed(IMAGES)
        wait_until(lambda: "traces_not_sent" in worker.tail(), 30, "the loss in the log")
        stream.send(traced(stream, revolver, IMAGES + trace) for trace in range(1, IMAGES + 1))
        stream.wait_until_committed(2 * IMAGES)
        worker.signal(signal.SIGTERM)
        assert worker.wait(15) == 0
        events = [json.loads(line) for line in worker.tail(100).splitlines()]
        [lost] = [event for event in events if event["event"] == "traces_not_sent"]
        assert f"port={port}" in lost["retried"]
        assert "drained" in {event["event"] for event in events}
        assert "drain_deadline_passed" not in {event["event"] for event in events}
