"""Log events: the closed list of identifiers that commands and workers log, with their meaning."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})

MEANINGS: dict[str, str] = {
    "abandoned_regions_freed": "Shared memory that an earlier worker left behind was freed.",
    "archive_not_compacted": "The archive stored its rows and could not be compacted; it tries again later.",
    "archived": "A batch of embeddings was stored and its offsets were committed.",
    "archiver_rewinds": "The archiver failed to store or commit a batch, and reads it again after a pause.",
    "broker_refused": "A broker refuses a client that it accepted before, for the `problem` given; it tries again.",
    "broker_unanswered": "Kafka did not answer; the worker tries again after a pause.",
    "calibrations_stale": "The prompts, target or labels of these thresholds have changed; fit them again.",
    "chunk_committed": "A chunk's outcomes and offsets were committed.",
    "chunk_polled": "A chunk was read.",
    "commit_aborted": "A transaction was aborted or refused; its chunk is read again. Repeated: see `cause`.",
    "crashed": "The process ends because of a defect; the traceback says where. Please report it.",
    "dead_letter": "A record cannot be judged, for the `reason` given; it is kept in the dead-letter topic.",
    "decision_ignored": "A record of the decisions topic is no decision.",
    "decisions_unreadable": "Decisions cannot be read for now; the exporter tries again after a pause.",
    "decisions_watched": "The exporter of decisions serves its metrics.",
    "dependency_awaited": "A dependency does not answer at start; the worker waits for it.",
    "dependency_failed": "A dependency failed for images in flight; they are tried again after a pause.",
    "drain_deadline_passed": "The worker stopped with chunks in flight; they will be read again.",
    "drained": "The worker committed every chunk in flight and stops.",
    "earlier_policy_set_rejected": "A policy set before the current one is invalid too.",
    "embedding_not_archived": "A record of the embeddings topic is not one that the archive can store.",
    "health_answers": "Health, readiness and metrics are served at this address.",
    "http_client_gone": "A client of the health port left before its response was complete.",
    "http_request_failed": "A request to the health port failed because of a defect.",
    "no_committed_position": "The group has not committed this partition yet; it is read from the beginning.",
    "policies_expired": "Policies past their last day are scored and counted, and flag nothing.",
    "policies_shadowed": "Policies that were fitted for another model flag nothing until they are fitted again.",
    "policy_set_active": "A policy set became active.",
    "policy_set_rejected": "A policy set is invalid; `consequence` says which set judges instead.",
    "policy_source_unavailable": "The policies' folder or topic cannot be read for now; the active set stays.",
    "position_not_in_log": "The client's position is not in the log; the worker rewinds.",
    "position_past_end": "The committed offset is past the end of the log; if that lasts, the worker exits with 5.",
    "record_ignored": "A record of a control topic cannot be read and is ignored.",
    "record_refused": "Reading a record failed in an unforeseen way; it becomes a dead letter.",
    "records_before_position": "The broker returned records from before the position; the worker rewinds.",
    "records_missed": "Retention removed records before this group read them; see docs/operating.md.",
    "region_not_freed": "Triton is gone, and with it its mapping of a region of shared memory.",
    "release_rejected": "A record of the control topic is no release and is ignored.",
    "restricted_policy_viewed": "Somebody looked at the results of restricted policies.",
    "rewound": "The worker reads from the committed offsets: at start, after a rebalance or an aborted commit.",
    "settings": "The effective settings, secrets masked; a worker's first event.",
    "stopped": "The process ends because of an error; `message` says what to do, `exit_code` which kind it is.",
    "text_cache_unreadable": "The file of encoded texts cannot be read; texts are encoded again.",
    "text_cache_unwritable": "The file of encoded texts cannot be written; texts are encoded again at the next start.",
    "token_not_renewed": "The token endpoint does not answer; the token in use is used until it expires.",
    "topic_made_again": "A control topic was deleted and created again; it is read from the beginning.",
    "topics_missing": "Topics of this worker do not exist.",
    "watch_failed": "A check beside the worker's loop failed because of a defect; it goes on.",
    "watch_refused": "A check beside the worker's loop was refused, for the `problem` given; it tries again.",
    "watch_unanswered": "A check beside the worker's loop had no answer.",
    "worker_started": "The worker has every part and begins to read.",
}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event as it is logged: its levels and fields, from the code, and its meaning."""

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    meaning: str


def logged_events() -> list[LogEvent]:
    """Return every event that the package logs, by name. An event without a meaning has an empty one."""
    levels: dict[str, set[str]] = {}
    fields: dict[str, set[str]] = {}
    for name, level, keywords in _calls():
        levels.setdefault(name, set()).add(level)
        fields.setdefault(name, set()).update(keywords - {"exc_info"})
    return [
        LogEvent(name, tuple(sorted(levels[name])), tuple(sorted(fields[name])), MEANINGS.get(name, ""))
        for name in sorted(levels)
    ]


def _calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the event, level and fields of each call of a logger in the package's source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and _is_logger(node.func.value)
                and node.args
            ):
                yield _text(node.args[0]), node.func.attr, {each.arg for each in node.keywords if each.arg}


def _is_logger(node: ast.expr) -> bool:
    """Tell whether an expression is `log` or `structlog.get_logger()`."""
    return (isinstance(node, ast.Name) and node.id == "log") or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_logger"
    )


def _text(node: ast.expr) -> str:
    """Return the text of an event; an expression that is no text is returned as source."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)
