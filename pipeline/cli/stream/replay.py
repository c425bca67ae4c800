"""`watchword replay`: a labelled stream judged, measured, and compared with what was."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.cli.console import interval, output, plain_table, print_json, require_format
from pipeline.cli.stream.replay_page import write_replay_page
from pipeline.cli.times import time_of
from pipeline.cli.transition import InProcess, note_access
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledStream, read_stream
from pipeline.evaluation.replay.baseline import Baseline, BaselineComparison, compare
from pipeline.evaluation.replay.metrics import PolicyResult, curve, results, slices
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.ingest.folder import read_events
from pipeline.operations.stream.replay_kafka import replay_through_kafka
from pipeline.operations.stream.topic_stream import SCHEME, topic_stream
from pipeline.policies.load import load_policy_set
from pipeline.private import write_private
from pipeline.settings import Settings, load_settings
from pipeline.visible import json_text

Results = dict[str, PolicyResult]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which stream to judge, and how: a file, a folder or `kafka:TOPIC` with labels, in this process or over Kafka."""

    name: str
    through: Literal["process", "kafka"] = "process"
    split: str | None = None
    labels: Path | None = None
    since: str | None = None
    until: str | None = None


def run_replay(
    asked: Asked,
    *,
    policies: Path | None,
    slice_by: tuple[str, ...],
    baseline: Path | None,
    save: Path | None,
    output_format: str,
    html: Path | None = None,
) -> int:
    """Print how every labelled policy does; return 1 when one is worse than the baseline beyond noise, else 0."""
    require_format(output_format, ("table", "json"))
    before = Baseline.read(baseline) if baseline else None
    with _stream(asked) as stream:
        replayed = replay_through_kafka(stream, policies) if asked.through == "kafka" else replay(stream, policies)
        return _report(replayed, slice_by, before, save, output_format, html)


def _report(
    replayed: Replayed,
    slice_by: tuple[str, ...],
    before: Baseline | None,
    save: Path | None,
    output_format: str,
    html: Path | None,
) -> int:
    note_access(replayed.restricted, "replay")
    compared = compare(before, replayed) if before else []
    whole = results(replayed)
    parts = {attribute: slices(replayed, attribute) for attribute in slice_by}
    if output_format == "json":
        print_json(_fields(replayed, whole, parts, compared), indent=2)
    else:
        _print_tables(replayed, whole, parts, compared)
    if html is not None:
        write_replay_page(html, replayed, whole, compared)
    if save is not None:
        write_private(save, json_text(Baseline.of(replayed).model_dump()) + "\n")
    return int(any(each.worse for each in compared))


@contextmanager
def _stream(asked: Asked) -> Iterator[LabelledStream]:
    if not asked.name.startswith(SCHEME):
        if asked.labels or asked.since or asked.until:
            raise UsageError("`--labels`, `--since` and `--until` go with a topic, `kafka:images`")
        yield read_stream(Path(asked.name), asked.split)
        return
    if asked.labels is None:
        raise UsageError(f"`{asked.name}` needs `--labels FILE`: a CSV with the event `id` and `policies`")
    times = (time_of(asked.since, "--since"), time_of(asked.until, "--until"))
    with topic_stream(asked.name.removeprefix(SCHEME), asked.labels, *times) as stream:
        yield stream


def replay(stream: LabelledStream, policies: Path | None = None) -> Replayed:
    """Judge a labelled stream in this process, by the steps of a worker and the settings in force."""
    judged = InProcess(load_policy_set(policies or load_settings(Settings).policies))
    return collect(stream, judged.outcomes([image.event for image in stream.images], read_events))


def _print_tables(
    replayed: Replayed, whole: Results, parts: dict[str, dict[str, Results]], compared: list[BaselineComparison]
) -> None:
    console = output()
    _print_results(whole)
    for attribute, values in parts.items():
        for value, part in values.items():
            console.print()
            console.print(f"{attribute} = {value}")
            _print_results(part)
    if compared:
        console.print()
        console.print("against the baseline")
        table = plain_table("policy", "images", "misses", "p", "false alarms", "p", "precision", "")
        for each in compared:
            table.add_row(
                each.policy_id,
                str(each.images),
                f"+{each.missed.worsened} -{each.missed.improved}",
                f"{each.missed.p_value:.3f}",
                f"+{each.alarmed.worsened} -{each.alarmed.improved}",
                f"{each.alarmed.p_value:.3f}",
                interval(each.precision, signed=True),
                "worse" if each.worse else "",
            )
        console.print(table)
    for event_id, reason in replayed.unjudged:
        console.print(f"`{event_id}` cannot be judged: {reason}")
    if replayed.unlabelled:
        console.print(f"no labels for {', '.join(replayed.unlabelled)}")


def _print_results(found: Results) -> None:
    table = plain_table("policy", "right", "flagged", "precision", "recall", "F1", "average precision")
    for each in found.values():
        table.add_row(
            each.policy_id,
            str(each.true_positives + each.false_negatives),
            str(each.true_positives + each.false_positives),
            *(interval(value) for value in (each.precision, each.recall, each.f1, each.average_precision)),
        )
    output().print(table)


def _fields(
    replayed: Replayed, whole: Results, parts: dict[str, dict[str, Results]], compared: list[BaselineComparison]
) -> Any:
    policies = {
        policy.id: {
            "digest": policy.digest,
            "threshold": policy.threshold,
            "provisional": policy.provisional,
            **_result_fields(whole[policy.id]),
            "curve": [dataclasses.asdict(point) for point in curve(replayed, place)],
        }
        for place, policy in enumerate(replayed.policies)
    }
    return {
        "policy_set_digest": replayed.policy_set_digest,
        "model_digest": replayed.model_digest,
        "images": len(replayed.images),
        "unjudged": [{"id": event_id, "reason": reason} for event_id, reason in replayed.unjudged],
        "unlabelled": list(replayed.unlabelled),
        "policies": policies,
        "slices": {
            attribute: {
                value: {policy_id: _result_fields(each) for policy_id, each in part.items()}
                for value, part in values.items()
            }
            for attribute, values in parts.items()
        },
        "baseline": [{**dataclasses.asdict(each), "worse": each.worse} for each in compared],
    }


def _result_fields(result: PolicyResult) -> dict[str, Any]:
    fields = {**dataclasses.asdict(result), "calibration_error": result.calibration_error}
    del fields["policy_id"]
    return fields
