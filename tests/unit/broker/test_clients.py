"""Every Kafka client is made with the options of the connection, so that no tool connects in a way of its own."""

import ast
from pathlib import Path

from tests.support.stream import REPOSITORY

CLIENTS = frozenset({"KafkaConsumer", "KafkaProducer", "KafkaAdminClient"})


def made_without(path: Path) -> list[str]:
    """Return the places where a client is made without `**options`, or with an address or credentials of its own."""
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CLIENTS
        if not any(each.arg is None for each in node.keywords)
        or any((each.arg or "").startswith(("bootstrap_servers", "sasl", "ssl", "security")) for each in node.keywords)
    ]


def test_every_client_is_made_with_the_options_of_the_connection() -> None:
    modules = sorted((REPOSITORY / "pipeline").rglob("*.py"))
    assert sum("KafkaAdminClient(" in path.read_text() for path in modules) > 1
    assert [place for path in modules for place in made_without(path)] == []


def test_a_client_of_its_own_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("KafkaConsumer(bootstrap_servers='x')\nKafkaProducer(**o, ssl_cafile='x')\nKafkaProducer(**o)\n")
    assert made_without(file) == ["own.py:1", "own.py:2"]
