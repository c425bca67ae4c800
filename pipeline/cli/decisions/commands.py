"""`watchword decisions`: what people decided, in and out."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import connection_of, decision_topic
from pipeline.cli.console import interval, output, plain_table, print_line, progress_output
from pipeline.cli.stream.read import outcome_fields
from pipeline.cli.times import since_of
from pipeline.counted import counted
from pipeline.emit.decisions import decision_record
from pipeline.errors import UsageError
from pipeline.evaluation.decisions.standing import DecisionStats, decisions, latest, standings
from pipeline.events.decisions import Decision, Ruling
from pipeline.settings import Settings, load_settings
from pipeline.visible import safe_json


def run_add(given: Iterable[Mapping[str, Any]]) -> int:
    """Send decisions, and return how many. Raises `UsageError` before any is sent when one is none."""
    rows = list(given)
    flags = _flags({str(row["flag_id"]) for row in rows if row.get("flag_id")})
    return send(load_settings(Settings), [_decision(number, row, flags) for number, row in enumerate(rows, 1)])


def send(settings: Settings, given: Sequence[Decision]) -> int:
    """
    Send decisions to their topic, which is made when it is not there, and return how many.

    Those that are older than what the topic has about the same are left out, and told: compaction would keep them, the
    last that was sent, and drop what counts. Raises `BrokerFault`.
    """
    connection, topic = connection_of(settings), decision_topic(settings)
    known = {each.about: each.time for each in read_decisions(settings)}
    new = [each for each in given if each.about not in known or each.time >= known[each.about]]
    if len(new) < len(given):
        progress_output().print(
            f"{counted(len(given) - len(new), 'decision')} left out: later ones about the same are there"
        )
    with Publisher(connection, max_record_bytes=topic.max_message_bytes) as publisher:
        for decision in new:
            record = decision_record(decision)
            publisher.send(Message(topic.name, record.key, record.value, record.headers))
    return len(new)


def read_decisions(settings: Settings, since: str | None = None) -> list[Decision]:
    """Return the last decision about each policy and event. Raises `BrokerFault`."""
    connection, topic = connection_of(settings), decision_topic(settings)
    ensure_topics(connection, [topic])
    start = None if since is None else since_of(since)
    found = latest(decisions(read_topics(connection, [topic.name])))
    return [each for each in found if start is None or each.time >= start]


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file, or of standard input for `-`. Raises `UsageError` with the line."""
    try:
        text = (sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()).decode()
    except OSError as error:
        raise UsageError(f"`{file}`: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"`{file}`: not UTF-8 at byte {error.start}") from error
    # Not `splitlines`, which also splits at characters that JSON leaves as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{file}:{number}:{error.colno}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}:{number}:1: a number too long, or nested too deeply") from error
        if not isinstance(row, dict):
            raise UsageError(
                f"{file}:{number}:1: expected an object, such as `watchword decisions show --format jsonl`"
            )
        yield row


def run_show(since: str | None, output_format: str) -> None:
    """Print how policies stand with the people who looked, or every decision as JSON."""
    found = read_decisions(load_settings(Settings), since)
    if output_format == "jsonl":
        for each in found:
            print_line(safe_json(each.model_dump_json(exclude_none=True)))
        return
    table = plain_table("policy", *(ruling.value for ruling in Ruling), "precision", "recall")
    for standing in standings(found):
        counts = (str(standing.rulings[ruling]) for ruling in Ruling)
        table.add_row(standing.policy_id, *counts, interval(standing.precision), _recall(standing))
    output().print(table)


def ever_flagged(standing: DecisionStats) -> bool:
    """Tell whether people decided about any flag of the policy: without one, it may never have been in force."""
    return any(standing.rulings[ruling] for ruling in Ruling if ruling.flagged)


def _recall(standing: DecisionStats) -> str:
    if not ever_flagged(standing):
        return "–"
    if standing.recall is None:
        return "no audit"
    return interval(standing.recall.interval) if standing.recall.interval else "unknown"


def _flags(wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Return the flag events of these ids, as far as the flags' topic has them."""
    if not wanted:
        return {}
    settings = load_settings(Settings)
    found: dict[str, dict[str, Any]] = {}
    for record in read_topics(connection_of(settings), [settings.topic_flags]):
        fields = outcome_fields(record)
        if fields.get("flag_id") in wanted:
            found[fields["flag_id"]] = fields
    return found


def _decision(number: int, row: Mapping[str, Any], flags: Mapping[str, Mapping[str, Any]]) -> Decision:
    given = {"time": datetime.now(UTC), **row}
    flag_id = row.get("flag_id")
    if flag_id and not {"policy", "source", "event_id"} <= row.keys():
        flag = flags.get(str(flag_id))
        if flag is None:
            raise UsageError(
                f"decision {number}: no flag `{flag_id}` on the topic; give `policy`, `source`, `event_id`"
            )
        about = {"policy": flag["policy"]["id"], "source": flag["event"]["source"], "event_id": flag["event"]["id"]}
        given = {**about, "content": flag["image"]["content_digest"], **given}
    try:
        return Decision.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise UsageError(f"decision {number}: `{'.'.join(map(str, problem['loc']))}`: {problem['msg']}") from error
