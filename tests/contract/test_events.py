"""Real records against the written contract, docs/events.asyncapi.yaml."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from ruamel.yaml import YAML

from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import policy_topic
from pipeline.errors import DeadLetterReason
from pipeline.events.records import Record
from pipeline.policies.load import load_policy_set
from pipeline.releases.control_topic import ReleaseRequest, publish
from pipeline.stack.broken_images import broken_images
from tests.support.publishing import published_stream
from tests.support.stream import Stack, Stream, header

DOCUMENT = Path(__file__).parents[2] / "docs/events.asyncapi.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(DOCUMENT)
    return loaded


def validator(document: dict[str, Any], message: str, part: str) -> Draft202012Validator:
    """Return a validator of a message's headers, or of its payload with no field that the contract does not name."""
    schema = {"components": document["components"], **document["components"]["messages"][message][part]}
    return Draft202012Validator(closed(schema) if part == "payload" else schema, format_checker=FormatChecker())


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def headers_of(record: Record) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers}


def test_the_reasons_of_dead_letters_are_the_closed_list(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert document["components"]["messages"]["deadLetter"]["headers"] == {
        "$ref": "#/components/schemas/DeadLetterHeaders"
    }
    assert schemas["DeadLetterHeaders"]["properties"]["watchword-reason"]["$ref"].endswith("/DeadLetterReason")
    assert schemas["DeadLetterReason"]["enum"] == [reason.value for reason in DeadLetterReason]


@pytest.mark.integration
def test_every_kind_of_record_holds_its_contract(
    stack: Stack, tmp_path: Path, document: dict[str, Any], samples: Path, revolver: bytes
) -> None:
    photographs = [path.read_bytes() for path in sorted((samples / "images/watch").iterdir())]
    with Stream(stack, tmp_path) as stream:
        sent = stream.send(stream.image(f"watch-{n}", data) for n, data in enumerate([*photographs, revolver]))
        sent += stream.send(stream.image(each.name, each.value, each.content_type) for each in broken_images(revolver))
        stream.worker()
        stream.wait_until_committed(sent)
        names = stream.settings
        for message, topic, fields in (
            ("flag", names.topic_flags, stream.flags()),
            ("verdict", names.topic_verdicts, stream.verdicts()),
        ):
            records = stream.records(topic)
            assert records
            for record, payload in zip(records, fields, strict=True):
                validator(document, message, "headers").validate(headers_of(record))
                validator(document, message, "payload").validate(payload)
                assert record.key == payload["event"]["id"].encode()
        embeddings = stream.records(names.topic_embeddings)
        assert embeddings
        for record in embeddings:
            validator(document, "embedding", "headers").validate(headers_of(record))
            vector = np.frombuffer(record.value or b"", "<f2").astype(np.float64)
            assert len(vector) == int(header(record, "dimension"))
            assert np.linalg.norm(vector) == pytest.approx(1, abs=2e-3)
        letters = stream.dead_letters()
        assert letters
        for record in letters:
            validator(document, "deadLetter", "headers").validate(headers_of(record))


@pytest.mark.integration
def test_what_is_published_holds_its_contract(
    stack: Stack, tmp_path: Path, document: dict[str, Any], policies: Path
) -> None:
    with published_stream(stack, tmp_path) as stream:
        topic = policy_topic(stream.settings)
        ensure_topics(stream.connection, [topic])
        policy_set = load_policy_set(policies)
        for request in (
            ReleaseRequest(policy_set, 0, "ana"),
            ReleaseRequest(policy_set, 1, "ana", canary=policy_set, canary_share=0.25),
        ):
            publish(stream.connection, topic.name, request, max_record_bytes=topic.max_message_bytes)
        records = {
            (record.key or b"").decode(): json.loads(record.value or b"") for record in stream.records(topic.name)
        }
        assert records.keys() == {f"set/{policy_set.digest}", "version/1", "version/2", "current"}
        for key, payload in records.items():
            message = "policySet" if key.startswith("set/") else "release"
            validator(document, message, "payload").validate(payload)
        assert records["current"] == records["version/2"]
