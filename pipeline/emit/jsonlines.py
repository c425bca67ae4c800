"""Outcomes of a scan as JSON lines."""

from typing import Any, TextIO

from pipeline.emit.formats import flag_fields
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.visible import json_for, json_text


class JsonLinesSink:
    """
    Writes one JSON object for each image.

    Its fields are `path`, `scores` (policy id to score), `flags` (policy ids), `error` (null, or the dead-letter
    reason), `detail` (null, or the error in words) and, for a judged image, `events` (the complete flag events).
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def emit(self, outcome: Verdict | DeadLetter) -> None:
        """Write one outcome."""
        self._output.write(json_for(self._output.encoding, json_text(outcome_fields(outcome))) + "\n")
        self._output.flush()


def outcome_fields(outcome: Verdict | DeadLetter) -> dict[str, Any]:
    """Return the fields of an outcome's object; `JsonLinesSink` describes them."""
    if isinstance(outcome, DeadLetter):
        path = outcome.record.origin.topic
        return {"path": path, "scores": {}, "flags": [], "error": outcome.reason.value, "detail": outcome.detail}
    return {
        "path": outcome.image.event.origin.topic,
        "scores": {policy.id: score for policy, score, _ in outcome.answers()},
        "flags": [flag.policy.id for flag in outcome.flags],
        "error": None,
        "detail": None,
        "events": [flag_fields(outcome, flag) for flag in outcome.flags],
    }
