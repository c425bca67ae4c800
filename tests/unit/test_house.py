"""House rules: operations have no side channels, functions and files stay short, and one place reads records."""

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "pipeline"
# Runs inside Triton, under its rules.
FOREIGN = PACKAGE / "models/engines/backend"
OPERATIONS = sorted((PACKAGE / "operations").rglob("*.py"))
# Ways to a terminal or to the environment of the process.
FORBIDDEN_CALLS = frozenset({"print", "input", "load_settings", "getenv", "getuser", "isatty"})
FORBIDDEN_NAMES = frozenset({"environ", "stdout", "stderr", "stdin"})
LONGEST_FILE = 300
LONGEST_P90 = 22


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if FOREIGN not in path.parents and not path.is_symlink():
            yield path, ast.parse(path.read_text())


def side_channels(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in FORBIDDEN_CALLS:
                found.append(f"{name}() at line {node.lineno}")
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES:
            found.append(f"{node.attr} at line {node.lineno}")
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "sys"):
            found += [f"{each.name} at line {node.lineno}" for each in node.names if each.name in FORBIDDEN_NAMES]
    return found


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_operation_prints_nothing_and_reads_no_environment(path: Path) -> None:
    assert side_channels(ast.parse(path.read_text())) == []


def test_side_channels_are_seen() -> None:
    text = "import os\nfrom sys import stderr\nprint(os.environ)\nload_settings(Settings)\n"
    assert len(side_channels(ast.parse(text))) == 4


def test_functions_are_short() -> None:
    """Nine of ten functions have at most 22 lines; a docstring and the signature count."""
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert np.percentile(lengths, 90) <= LONGEST_P90


def test_files_are_short() -> None:
    long = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path, _ in modules()}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_named_like_a_builtin() -> None:
    """A function called like a builtin would hide it from its whole module."""
    names = {
        f"{path.name}: {node.name}"
        for path, tree in modules()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and hasattr(builtins, node.name)
    }
    assert names == set()


# Parsers of the JSON of records; files, requests and lines of other people's files are parsed elsewhere.
RECORD_READERS = ("events/wire", "ingest/event.py", "ingest/decode_process.py")


def test_the_value_of_a_record_is_parsed_by_the_read_model_alone() -> None:
    """Every other module gets a record's fields from a model in `events/`."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in modules()
        if not str(path.relative_to(PACKAGE)).startswith(RECORD_READERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in ("loads", "validate_json", "model_validate_json")
        and any(isinstance(each, ast.Attribute) and each.attr == "value" for arg in node.args for each in ast.walk(arg))
    ]
    assert found == []
