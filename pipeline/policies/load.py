"""Loading of a policy folder, all or nothing: documents, resolution, validation."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import PolicyError
from pipeline.events.policies import PolicySet
from pipeline.policies.calibrations import Calibrations
from pipeline.policies.diagnostics import Diagnostics
from pipeline.policies.document import Document, read_document
from pipeline.policies.folder import ParsedPolicy, PolicyFolder
from pipeline.policies.listing import list_policy_files
from pipeline.policies.resolve import PARTIAL, Resolved, resolve_documents
from pipeline.policies.schema import BackgroundFile, SharedFile
from pipeline.policies.validate import validated, validated_policies
from pipeline.visible import one_line

BACKGROUND = "background.yaml"
SHARED = "shared.yaml"
# In all files of a folder.
MOST_VALUES = 300_000
SHIPPED_BACKGROUND = Path(__file__).with_name(BACKGROUND)


def load_policy_set(folder: Path) -> PolicySet:
    """Return the policy set of a folder. Raises the errors of `read_folder` and of `PolicyFolder.policies`."""
    return read_folder(folder).compose()


def read_folder(folder: Path) -> PolicyFolder:
    """
    Read every `*.yaml` of `folder`.

    A `background.yaml` there replaces the shipped background bank. A `shared.yaml` has lists that policies use. Files
    whose names start with `_` are incomplete policies for others to extend. Raises `PolicyError` with every error of
    every file, each as file:line:column with its line and a caret; nothing is loaded then.
    """
    diagnostics = Diagnostics()
    documents = list(_read(folder, diagnostics))
    own = [document for document in documents if not document.path.name.startswith(PARTIAL)]
    background_file = _background(folder, diagnostics)
    resolved = resolve_documents(
        own if background_file is None else [*own, background_file],
        _extendable(documents),
        _shared(folder, diagnostics),
        diagnostics,
    )
    policies = validated_policies([each for each in resolved if each.document is not background_file], diagnostics)
    _add_repeated_ids(policies, diagnostics)
    background = next((each for each in resolved if each.document is background_file), None)
    bank = validated(background, BackgroundFile, diagnostics) if background is not None else None
    diagnostics.raise_any()
    if not policies:
        raise PolicyError(f"`{one_line(folder)}`: no policy files; each `*.yaml` there is one policy")
    assert bank is not None
    return PolicyFolder(tuple(policies), bank, Calibrations.load(folder))


def _read(folder: Path, diagnostics: Diagnostics) -> Iterator[Document]:
    """Yield the documents of policies, up to the number of values that a folder may hold."""
    values = 0
    for path in list_policy_files(folder, diagnostics):
        if path.name in (BACKGROUND, SHARED) or diagnostics.full:
            continue
        document = read_document(path, diagnostics)
        if document is None:
            continue
        values += document.content.size
        if values > MOST_VALUES:
            message = f"with this file the folder has more than {MOST_VALUES:,} values; split it into several sets"
            diagnostics.error(document, (), message, kind="too much")
            return
        yield document


def _extendable(documents: Sequence[Document]) -> dict[str, Document]:
    """Return the documents that may be extended: partial ones by their file's name, policies by their id."""
    known = {document.path.stem: document for document in documents if document.path.name.startswith(PARTIAL)}
    for document in documents:
        name = document.content.get("id")
        if isinstance(name, str) and not document.path.name.startswith(PARTIAL):
            known[name] = document
    return known


def _shared(folder: Path, diagnostics: Diagnostics) -> Document | None:
    if not _exists(folder / SHARED):
        return None
    document = read_document(folder / SHARED, diagnostics)
    if document is None or validated(Resolved(document, dict(document.content)), SharedFile, diagnostics) is None:
        return None
    return document


def _background(folder: Path, diagnostics: Diagnostics) -> Document | None:
    """Return the folder's background, or the shipped one."""
    own = folder / BACKGROUND
    return read_document(own if _exists(own) else SHIPPED_BACKGROUND, diagnostics)


def _exists(path: Path) -> bool:
    """Tell whether a folder has an entry of this name, including a broken link or one that may not be read."""
    return os.path.lexists(path)


def _add_repeated_ids(policies: Sequence[ParsedPolicy], diagnostics: Diagnostics) -> None:
    owners: dict[str, Path] = {}
    for each in policies:
        path = each.resolved.document.path
        for policy_id, _ in each.parts():
            if owners.setdefault(policy_id, path) != path:
                message = f"`{policy_id}` is already the id of {owners[policy_id]}; choose another"
                diagnostics.error(each.resolved, ("id",), message, kind=f"repeated {policy_id}")
