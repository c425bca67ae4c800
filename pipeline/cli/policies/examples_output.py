"""Results of `watchword policies test` as lines and as JUnit XML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from pipeline.counted import counted
from pipeline.evaluation.replay.examples import ExampleResult


def failures(results: Sequence[ExampleResult]) -> Iterator[str]:
    """Yield a line for each example that fails, with its position in the policy's file."""
    for result in results:
        if not result.passed:
            example, position = result.example, result.example.position
            where = f"{example.path}:{position.line}:{position.column}"
            yield f"{where}: `{example.policy_id}`, `{example.name}`: {result.line()}"


def total(results: Sequence[ExampleResult]) -> str:
    """Return the number of examples and of failures."""
    return f"{counted(len(results), 'example')}, {_failed(results)} failed"


def write_junit(path: Path, results: Sequence[ExampleResult], seconds: float) -> None:
    """Write the results as JUnit XML, which continuous integration displays."""
    counts = {"tests": str(len(results)), "failures": str(_failed(results)), "time": f"{seconds:.3f}"}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "watchword policies test", **counts})
    for each in results:
        about = {"classname": each.example.policy_id, "name": each.example.name, "file": str(each.example.path)}
        case = ET.SubElement(suite, "testcase", {**about, "line": str(each.example.position.line)})
        if not each.passed:
            ET.SubElement(case, "failure", {"message": each.line()})
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _failed(results: Sequence[ExampleResult]) -> int:
    return sum(not result.passed for result in results)
