"""Creation of a policy file."""

from pathlib import Path

from pydantic import ValidationError

from pipeline.bounded import why
from pipeline.errors import UsageError
from pipeline.policies.listing import SUFFIX
from pipeline.policies.load import BACKGROUND, SHARED
from pipeline.policies.resolve import PARTIAL
from pipeline.policies.schema import PolicyFile
from pipeline.policies.starter import THRESHOLD, PolicyDraft, starter_text
from pipeline.policies.texts import policy_id
from pipeline.policies.validation_errors import first_error


def create_policy(folder: Path, draft: PolicyDraft) -> Path:
    """
    Write a commented file for a new policy and return its path. A missing folder is created.

    Raises `UsageError` when the draft is invalid, or the file exists or cannot be written.
    """
    _require_valid(draft)
    path = folder / _file_name(draft.id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(starter_text(draft))
    except FileExistsError as error:
        raise UsageError(f"`{path}` exists already; edit it, or choose another id") from error
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {why(error)}") from error
    return path


def _file_name(policy_id: str) -> str:
    """Return a policy's file name. The folder must not read it as another kind of file."""
    name = f"{policy_id.replace('.', '-')}{SUFFIX}"
    return f"policy-{name}" if name.startswith(PARTIAL) or name in (BACKGROUND, SHARED) else name


def _require_valid(draft: PolicyDraft) -> None:
    try:
        policy_id(draft.id)
    except ValueError as error:
        raise UsageError(str(error)) from error
    content = {
        "id": draft.id,
        "title": draft.title,
        "prompts": list(draft.prompts) or [draft.subject],
        "threshold": THRESHOLD,
        "severity": draft.severity,
        "action": draft.action,
        "owner": draft.owner,
    }
    try:
        PolicyFile.model_validate(content)
    except ValidationError as error:
        raise UsageError(first_error(error)) from error
