"""Validation of resolved policy files against their schema, and of their heads."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.bounded import brief, why
from pipeline.events.policies import Head
from pipeline.policies.diagnostics import Diagnostics
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.json_files import read_json
from pipeline.policies.resolve import Resolved
from pipeline.policies.schema import HeadFile, PolicyFile, head_path
from pipeline.policies.validation_errors import add_all, first_error

FileT = TypeVar("FileT", bound=BaseModel)


def validated(resolved: Resolved, model: type[FileT], diagnostics: Diagnostics) -> FileT | None:
    """Return the content as its model, or add its errors and return None."""
    try:
        return model.model_validate(resolved.content)
    except ValidationError as error:
        add_all(error, resolved, model, diagnostics)
        return None


def validated_policies(resolved: Sequence[Resolved], diagnostics: Diagnostics) -> list[ParsedPolicy]:
    """Return the valid policies with their heads, and add the errors of the others."""
    found = []
    for each in resolved:
        file = None if diagnostics.full else validated(each, PolicyFile, diagnostics)
        if file is not None:
            found.append(ParsedPolicy(each, file, _head(each, file, diagnostics) if file.head else None))
    return found


def _head(resolved: Resolved, file: PolicyFile, diagnostics: Diagnostics) -> Head | None:
    """Return a policy's head, or add an error and return None."""
    folder = resolved.written_at(("head",))[0].path.parent
    try:
        path = head_path(folder, str(file.head))
        found = read_json(HeadFile, path)
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError) else f": {why(error)}"
        advice = f"`watchword policies fit-head {file.id} --labels FILE` writes it"
        message = f"`{brief(path)}` cannot be read{reason}; {advice}"
    except ValidationError as error:
        message = f"`{brief(path)}` is not a valid head: {first_error(error)}"
    except RuntimeError:
        message = f"`{brief(str(file.head))}` is a link in a circle"
    except ValueError as error:
        message = f"`head` {brief(error)}"
    else:
        return Head(tuple(found.weights), found.bias, found.model)
    diagnostics.error(resolved, ("head",), message, kind="head")
    return None
