"""Log events: the closed list of identifiers that commands and workers log, each with its meaning."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# The methods of a logger. `exception` logs at the level `error`, with a traceback.
METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})

MEANINGS: dict[str, str] = {
    "abandoned_regions_freed": "Shared memory that an earlier worker left behind was freed.",
    "archive_not_compacted": "The archiver stored its rows, but compaction failed; it tries again later.",
    "archived": "A batch of embeddings was stored and its offsets were committed.",
    "archiver_rewinds": "The archiver failed to store or commit a batch, and reads it again after a pause.",
    "broker_refused": "A broker refuses a client that it accepted before, for the `problem` given; it tries again.",
    "broker_unanswered": "Kafka did not answer; the worker tries again after a pause.",
    "calibrations_stale": "The prompts, target or labels of these thresholds have changed; fit them again.",
    "chunk_committed": "A chunk's outcomes and offsets were committed.",
    "chunk_polled": "A chunk was read.",
    "commit_aborted": "A transaction was aborted or refused; its chunk is read again. If it repeats, see `cause`.",
    "crashed": "The process exits because of a bug; the traceback shows where. Please report it.",
    "dead_letter": "A record cannot be judged, for the `reason` given; it goes to the dead-letter topic.",
    "dead_letters_saved": "Somebody saved the bytes of dead letters, which no policy has judged.",
    "decision_ignored": "A record of the decisions topic is not a valid decision and is ignored.",
    "decisions_unreadable": "Decisions cannot be read for now; the exporter tries again after a pause.",
    "decisions_watched": "The exporter of decisions serves its metrics.",
    "dependency_awaited": "A dependency does not answer while the process starts; the process waits for it.",
    "dependency_failed": "A dependency failed while images were in flight; they are tried again after a pause.",
    "drain_deadline_passed": "The drain deadline passed with chunks in flight; they will be read again.",
    "drained": "The worker has committed every chunk in flight and stops.",
    "earlier_policy_set_rejected": "An earlier policy set, tried in place of the invalid current one, is invalid too.",
    "embedding_not_archived": "A record of the embeddings topic cannot be archived and is skipped.",
    "group_not_left": "The worker stopped without leaving its group; its partitions wait for the session to end.",
    "health_answers": "Health, readiness and metrics are served at this address.",
    "http_client_gone": "An HTTP client disconnected before its response was complete.",
    "http_request_failed": "An HTTP request failed because of a bug.",
    "metrics_policies_limited": "More policies than WATCHWORD_METRICS_POLICIES: later ones are counted as `other`.",
    "no_committed_position": "The group has no committed offset for this partition; it is read from the beginning.",
    "policies_expired": "Policies past their last day are still scored and counted, but flag nothing.",
    "policies_shadowed": "Policies whose threshold was fitted for another model flag nothing until it is fitted again.",
    "policy_set_active": "A policy set became active.",
    "policy_set_rejected": "A policy set is invalid; `consequence` says which set judges instead.",
    "policy_source_unavailable": "The policies' folder or topic cannot be read for now; the active set stays.",
    "position_not_in_log": "The position of the Kafka client is not in the log; the worker rewinds.",
    "position_past_end": "The committed offset is past the end of the log; if this lasts, the worker exits with 5.",
    "probe_failed": "Known images, texts or scores come out wrong: nothing is judged until that ends.",
    "probes_missing": "The model has no golden file, so nothing is probed; `watchword models golden` makes one.",
    "probes_pass": "The golden probes pass again; the worker reads on from the committed offsets.",
    "record_ignored": "A record of a control topic cannot be read and is ignored.",
    "record_refused": "Reading a record raised an unexpected exception; the record becomes a dead letter.",
    "records_before_position": "The broker returned records from before the position; the worker rewinds.",
    "records_missed": "Retention removed records before this group had read them; see docs/operating.md.",
    "region_not_freed": "Triton failed or did not answer in time when asked to unmap a region of shared memory.",
    "release_rejected": "A record of the control topic is not a valid release and is ignored.",
    "restricted_policy_viewed": "A command showed `user` the results of restricted policies.",
    "rewound": "The worker reads from the committed offsets: at start, after a rebalance or an aborted commit.",
    "settings": "The effective settings, with secrets masked; the first event of a worker.",
    "stopped": "The process exits because of an error; `message` says what to do, `exit_code` gives its kind.",
    "text_cache_unreadable": "The file of encoded texts cannot be read; texts are encoded again.",
    "text_cache_unwritable": "The file of encoded texts cannot be written; texts are encoded again at the next start.",
    "token_not_renewed": "The token endpoint does not answer; the token in use is used until it expires.",
    "topic_made_again": "A control topic was deleted and recreated; it is read from the beginning.",
    "topics_missing": "Topics that this worker needs do not exist.",
    "traces_not_sent": "Traces could not be sent, for the `problem` given, and are lost; said once a minute at most.",
    "triton_gone": "An address of Triton is no longer behind its name; it is not asked any more.",
    "triton_left_out": "A Triton failed; the others are asked until it answers a check.",
    "triton_taken_back": "A Triton that was left out answers again.",
    "watch_failed": "A background check of the worker raised an unexpected exception; the check continues.",
    "watch_refused": "A background check of the worker was refused, for the `problem` given; it tries again.",
    "watch_unanswered": "A background check of the worker got no answer from its dependency.",
    "worker_held": "The worker judges nothing until it is restarted; `message` says why, `exit_code` which kind it is.",
    "worker_started": "All parts of the worker are ready, and it starts to read.",
}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """
    An event as it is logged: its levels and fields, from the code, and its meaning.

    `traceback`: whether it can have the field `exception`, with a traceback.
    """

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    traceback: bool
    meaning: str


def logged_events() -> list[LogEvent]:
    """Return every event that the package logs, by name. An event without a meaning has an empty one."""
    calls: dict[str, list[tuple[str, set[str]]]] = {}
    for name, method, keywords in _calls():
        calls.setdefault(name, []).append((method, keywords))
    return [_event(name, calls[name]) for name in sorted(calls)]


def _event(name: str, calls: list[tuple[str, set[str]]]) -> LogEvent:
    levels = {"error" if method == "exception" else method for method, _ in calls}
    fields = {field for _, keywords in calls for field in keywords} - {"exc_info"}
    traceback = any(method == "exception" or "exc_info" in keywords for method, keywords in calls)
    return LogEvent(name, tuple(sorted(levels)), tuple(sorted(fields)), traceback, MEANINGS.get(name, ""))


def _calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the event, method and keyword arguments of each call to a logger in the package's source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in METHODS
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
    """Return the name of an event; an expression that is not a string literal is returned as source."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)
