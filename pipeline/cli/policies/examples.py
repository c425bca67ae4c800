"""`watchword policies test`: every policy on its own examples."""

import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from pipeline.cli.console import output
from pipeline.cli.transition import InProcess
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.replay.examples import ExampleResult, examples_of, tried
from pipeline.ingest.folder import read_events
from pipeline.policies.load import PolicyFolder, read_folder


def run_examples(folder: Path, *, only: str | None, junit: Path | None) -> int:
    """Print each example that fails and how many there are; return 1 when one does, else 0."""
    started = time.monotonic()
    results = try_examples(folder, only)
    console = output()
    for each in results:
        if not each.passed:
            place = each.example.position
            where = f"{each.example.written_in}:{place.line}:{place.column}"
            console.print(f"{where}: `{each.example.policy_id}`, `{each.example.name}`: {each.line()}")
    failed = sum(not each.passed for each in results)
    console.print(f"{counted(len(results), 'example')}, {failed} failed")
    if junit is not None:
        write_junit(junit, results, time.monotonic() - started)
    return int(failed > 0)


def try_examples(folder: Path, only: str | None = None) -> list[ExampleResult]:
    """Judge the examples of a folder, or of one policy of it, in process. Raises `UsageError` when there are none."""
    results = tried_examples(read_folder(folder), only)
    if not results:
        of = f"the policy `{only}`" if only else f"`{folder}`"
        raise UsageError(f"{of} has no examples; a policy lists them under `examples`, an `image` and a `flag` each")
    return results


def tried_examples(policies: PolicyFolder, only: str | None = None) -> list[ExampleResult]:
    """Judge the examples of policies that were read, or of one of them, in process; there may be none."""
    examples = [each for each in examples_of(policies) if only in (None, each.policy_id)]
    if not examples:
        return []
    outcomes = InProcess(policies.on_or_off()).outcomes([each.event for each in examples], read_events)
    return [tried(example, outcome) for example, outcome in zip(examples, outcomes, strict=True)]


def write_junit(path: Path, results: Sequence[ExampleResult], seconds: float) -> None:
    """Write the results as JUnit's XML, in which continuous integration shows them."""
    failed = sum(not each.passed for each in results)
    counts = {"tests": str(len(results)), "failures": str(failed), "time": f"{seconds:.3f}"}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "watchword policies test", **counts})
    for each in results:
        about = {"classname": each.example.policy_id, "name": each.example.name, "file": str(each.example.written_in)}
        case = ET.SubElement(suite, "testcase", {**about, "line": str(each.example.position.line)})
        if not each.passed:
            ET.SubElement(case, "failure", {"message": each.line()})
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
