"""The outside of the program: commands, exit codes and settings. After a move, re-point these imports."""

import contextlib
import io
import pkgutil
import socket
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

from typer.main import get_command

from pipeline.cli.main import app
from pipeline.errors import WatchwordError
from pipeline.settings import Settings
from pipeline.stack_settings import StackSettings

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
INVOCATIONS = ("", "--help", "--version", "no-such-command", "read", "read no-such-kind", "reference metrics")


def commands() -> dict[str, Any]:
    """Return every command's arguments, by their place, and options, by each of their spellings; no help texts."""
    return dict(_commands(get_command(app), "watchword"))


def settings() -> dict[str, Any]:
    """Return every variable's type, as JSON Schema, and default; one that depends on the machine as a marker."""
    return {name: fields for kind in (Settings, StackSettings) for name, fields in _variables(kind)}


def exit_codes() -> dict[str, Any]:
    """Return the exit codes of a command that raises each error of the tree, and of command lines as typed."""
    return {
        "errors": {error.__name__: _exit_code_of_error(error) for error in (*_tree(WatchwordError), ValueError)},
        "command lines": {f"watchword {words}".strip(): _exit_code(words.split()) for words in INVOCATIONS},
    }


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    spelt = {name: _option(each, name) for each in options for name in (*each.opts, *each.secondary_opts)}
    yield (
        path,
        {
            "arguments": {str(place): _parameter(each) for place, each in enumerate(arguments, 1)},
            "options": spelt,
        },
    )
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(inner, f"{path} {name}")


def _option(option: Any, spelling: str) -> dict[str, Any]:
    return {**_parameter(option), "flag": option.is_flag, "secondary": spelling in option.secondary_opts}


def _parameter(parameter: Any) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "required": parameter.required,
        "multiple": parameter.multiple,
        "nargs": parameter.nargs,
        "min": parameter.min,
        "max": parameter.max,
        **_type(parameter.type_descriptor.annotation),
        "default": _plain(parameter.default),
        "envvar": parameter.envvar,
        "hidden": parameter.hidden,
    }


def _type(annotation: Any) -> dict[str, Any]:
    if get_origin(annotation) is list:  # `multiple` or `nargs` says so
        [annotation] = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {"type": "choice", "choices": list(get_args(annotation))}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"type": "choice", "choices": [each.value for each in annotation]}
    return {"type": annotation.__name__}


def _variables(kind: Any) -> Iterator[tuple[str, Any]]:
    prefix = kind.model_config["env_prefix"]
    schemas = kind.model_json_schema()["properties"]
    for field, info in kind.model_fields.items():
        schema = {key: value for key, value in schemas[field].items() if key not in {"title", "description", "default"}}
        name = f"{prefix}{field}".upper()
        default = _default(name, info.get_default(call_default_factory=True))
        yield name, {"type": schema, "default": default, "required": info.is_required()}


def _default(name: str, default: Any) -> Any:
    if name == "WATCHWORD_INSTANCE_ID" and default == socket.gethostname():
        return "<host name>"
    if name == "WATCHWORD_STACK_PYTHON" and default == Path(sys.executable):
        return "<this Python>"
    if name == "WATCHWORD_MODEL" and (default / "manifest.json").is_file():
        return f"<bundles>/{default.name}"
    return _plain(default)


def _plain(value: Any) -> Any:
    """Return a default as JSON."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | dict) else str(value)


def _tree(error: type[WatchwordError]) -> Iterator[type[WatchwordError]]:
    yield error
    for inner in error.__subclasses__():
        yield from _tree(inner)


def _exit_code_of_error(error: type[Exception]) -> int:
    @app.command("golden-raise")
    def fail() -> None:
        raise error.__new__(error)

    try:
        return _exit_code(["golden-raise"])
    finally:
        app.registered_commands.pop()


def _exit_code(words: list[str]) -> int:
    """Run the program as installed, in this process."""
    main = pkgutil.resolve_name(tomllib.loads(PYPROJECT.read_text())["project"]["scripts"]["watchword"])
    silent = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["watchword", *words]),
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0)
        except Exception:  # noqa: BLE001 -- the interpreter leaves so too
            return 1
    return 0
