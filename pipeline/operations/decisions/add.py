"""People's decisions from rows of fields: completed from the flags that they name, checked and sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from pipeline.broker.reader import read_topics
from pipeline.errors import UsageError
from pipeline.events.decisions import Decision
from pipeline.events.wire.flag import FlagRecord
from pipeline.operations.decisions.topic import SentDecisions, send_decisions
from pipeline.operations.stream.outcomes import readable_flag
from pipeline.operations.workbench import Workbench

_ABOUT = ("policy", "source", "event_id")


def add_decisions(workbench: Workbench, rows: Sequence[Mapping[str, Any]]) -> SentDecisions:
    """
    Send one decision for each row of `Decision` fields; policy, event and content may come from the flag `flag_id`.

    Raises `UsageError`, before anything is sent, when a row is not a decision or its flag is not on the flags' topic.
    """
    flags = _flags(workbench, {str(row["flag_id"]) for row in rows if row.get("flag_id")})
    return send_decisions(workbench, [_decision(number, row, flags) for number, row in enumerate(rows, 1)])


def decision_rows(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON Lines; `name` names the file in errors. Raises `UsageError` with the line at fault."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"`{name}`: not UTF-8 at byte {error.start}") from error
    # `splitlines` also splits at characters that may stand unescaped in a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(f"{name}:{number}", line)


def _row(place: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}:{error.colno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}:1: a number too long, or nested too deeply") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}:1: expected an object, such as `watchword decisions show --format jsonl` prints")
    return row


def _flags(workbench: Workbench, wanted: set[str]) -> dict[str, FlagRecord]:
    """Return the flag events with these ids that the flags' topic has."""
    if not wanted:
        return {}
    records = read_topics(workbench.connection, [workbench.settings.topic_flags])
    flags = (flag for record in records if (flag := readable_flag(record)))
    return {flag.flag_id: flag for flag in flags if flag.flag_id in wanted}


def _decision(number: int, row: Mapping[str, Any], flags: Mapping[str, FlagRecord]) -> Decision:
    given = {"time": datetime.now(UTC), **_about_flag(number, row, flags), **row}
    try:
        return Decision.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise UsageError(f"decision {number}: `{'.'.join(map(str, problem['loc']))}`: {problem['msg']}") from error


def _about_flag(number: int, row: Mapping[str, Any], flags: Mapping[str, FlagRecord]) -> dict[str, Any]:
    """Return the policy, event and content of the flag that a row names; empty when the row has them already."""
    flag_id = row.get("flag_id")
    if not flag_id or row.keys() >= set(_ABOUT):
        return {}
    flag = flags.get(str(flag_id))
    if flag is None:
        raise UsageError(f"decision {number}: no flag `{flag_id}` on the topic; give `policy`, `source`, `event_id`")
    return {
        "policy": flag.policy.id,
        "source": flag.event.source,
        "event_id": flag.event.id,
        "content": flag.image.content_digest,
    }
