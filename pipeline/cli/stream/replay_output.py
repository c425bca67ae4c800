"""A replay as tables, as JSON, and as the baseline of later replays."""

import dataclasses
from pathlib import Path
from typing import Any

from pipeline.cli.console import interval, output, plain_table, print_json
from pipeline.evaluation.replay.baseline import Baseline, BaselineComparison
from pipeline.evaluation.replay.metrics import PolicyResult, curve
from pipeline.operations.stream.replay import ReplayReport, Results
from pipeline.private import write_private
from pipeline.visible import json_text


def print_report(report: ReplayReport, output_format: str) -> None:
    """Print a replay as `table` or `json`."""
    if output_format == "json":
        print_json(_fields(report), indent=2)
    else:
        _print_tables(report)


def save_baseline(path: Path, report: ReplayReport) -> None:
    """Write a replay as a baseline file that only its owner can read."""
    write_private(path, json_text(Baseline.of(report.replayed).model_dump()) + "\n")


def _print_tables(report: ReplayReport) -> None:
    console = output()
    _print_results(report.results)
    for attribute, values in report.slices.items():
        for value, part in values.items():
            console.print()
            console.print(f"{attribute} = {value}")
            _print_results(part)
    if report.compared:
        _print_comparisons(report.compared)
    for event_id, reason in report.replayed.unjudged:
        console.print(f"`{event_id}` cannot be judged: {reason}")
    if report.replayed.unlabelled:
        console.print(f"no labels for {', '.join(report.replayed.unlabelled)}")


def _print_results(results: Results) -> None:
    table = plain_table("policy", "right", "flagged", "precision", "recall", "F1", "average precision")
    for each in results.values():
        table.add_row(
            each.policy_id,
            str(each.true_positives + each.false_negatives),
            str(each.true_positives + each.false_positives),
            *(interval(value) for value in (each.precision, each.recall, each.f1, each.average_precision)),
        )
    output().print(table)


def _print_comparisons(compared: tuple[BaselineComparison, ...]) -> None:
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
    console = output()
    console.print()
    console.print("against the baseline")
    console.print(table)


def _fields(report: ReplayReport) -> dict[str, Any]:
    replayed = report.replayed
    return {
        "policy_set_digest": replayed.policy_set_digest,
        "model_digest": replayed.model_digest,
        "images": len(replayed.images),
        "unjudged": [{"id": event_id, "reason": reason} for event_id, reason in replayed.unjudged],
        "unlabelled": list(replayed.unlabelled),
        "policies": _policy_fields(report),
        "slices": {
            attribute: {
                value: {policy_id: _result_fields(each) for policy_id, each in part.items()}
                for value, part in values.items()
            }
            for attribute, values in report.slices.items()
        },
        "baseline": [{**dataclasses.asdict(each), "worse": each.worse} for each in report.compared],
    }


def _policy_fields(report: ReplayReport) -> dict[str, dict[str, Any]]:
    return {
        policy.id: {
            "digest": policy.digest,
            "threshold": policy.threshold,
            "provisional": policy.provisional,
            **_result_fields(report.results[policy.id]),
            "curve": [dataclasses.asdict(point) for point in curve(report.replayed, index)],
        }
        for index, policy in enumerate(report.replayed.policies)
    }


def _result_fields(result: PolicyResult) -> dict[str, Any]:
    fields = {**dataclasses.asdict(result), "calibration_error": result.calibration_error}
    del fields["policy_id"]
    return fields
