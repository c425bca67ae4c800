"""A folder of policy files to one policy set, all or nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.bounded import brief, why
from pipeline.errors import PolicyError, UsageError
from pipeline.events.policies import Head, Mode, Policy, PolicySet
from pipeline.policies.calibration_file import Calibrations
from pipeline.policies.compile import Fit, as_written, background_of, compose, policies_of
from pipeline.policies.document import Document, Place, read_document
from pipeline.policies.json_files import read_json
from pipeline.policies.listing import list_policy_files
from pipeline.policies.reports import Reports
from pipeline.policies.resolve import PARTIAL, Resolved, Resolver
from pipeline.policies.schema import BackgroundFile, HeadFile, PolicyFile, SharedFile, Target, Threshold, head_path
from pipeline.policies.validation_errors import report_all, told
from pipeline.visible import one_line

BACKGROUND = "background.yaml"
SHARED = "shared.yaml"
# Of the values in all files of a folder.
MOST_VALUES = 300_000
SHIPPED_BACKGROUND = Path(__file__).with_name(BACKGROUND)

FileT = TypeVar("FileT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """A policy's file, and where all it says in full was written."""

    resolved: Resolved
    file: PolicyFile
    head: Head | None = None

    def parts(self) -> Iterator[tuple[str, Place]]:
        """Yield the id of the policy and of each child, with its place in the file."""
        yield self.file.id, ()
        for number, child in enumerate(self.file.children):
            yield f"{self.file.id}.{child.id}", ("children", number)


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """What a folder of policy files says, and what its thresholds were fitted to."""

    written: tuple[ParsedPolicy, ...]
    background: BackgroundFile
    calibrations: Calibrations

    def policies(self) -> list[Policy]:
        """
        Return every policy, children and those that are off too.

        Raises `PolicyError` with the place of each threshold that is to be fitted and was not.
        """
        reports = Reports()
        found = self._fitted(reports)
        if reports:
            raise reports.error()
        return found

    def compose(self) -> PolicySet:
        """Return the set that judges. Raises what `policies` does."""
        return compose(self.policies(), background_of(self.background))

    def with_unfitted_at_zero(self) -> PolicySet:
        """Return every policy, on or off; one that is yet to be fitted says yes from 0, where it balances."""
        return self._on_or_off(self._fitted(Reports()))

    def on_or_off(self) -> PolicySet:
        """Return the set that judges with those that are `off` too. Raises what `policies` does."""
        return self._on_or_off(self.policies())

    def scores_only(self) -> PolicySet:
        """Return the set for its scores: every policy, on or off, whether its threshold was fitted or not."""
        policies = [policy for each in self.written for policy in policies_of(each.file, as_written, each.head)]
        shadows = [replace(policy, mode=Mode.SHADOW) for policy in policies]
        return compose(shadows, background_of(self.background))

    def _on_or_off(self, policies: list[Policy]) -> PolicySet:
        on = [replace(policy, mode=Mode.SHADOW) if policy.mode is Mode.OFF else policy for policy in policies]
        return compose(on, background_of(self.background))

    def _fitted(self, reports: Reports) -> list[Policy]:
        """Return every policy; of those that are yet to be fitted a report each is added."""
        return [
            policy for each in self.written for policy in policies_of(each.file, self._fit(each, reports), each.head)
        ]

    def _fit(self, written: ParsedPolicy, reports: Reports) -> Fit:
        places = dict(written.parts())
        background = background_of(self.background)

        def fit(policy: Policy, threshold: Threshold) -> Policy:
            target = threshold.target
            if target is None:
                return as_written(policy, threshold)
            if policy.id not in self.calibrations.files:
                place, message = (*places[policy.id], "threshold"), _unfitted(policy, target)
                path = written.resolved.document.path
                reports.add(path, (policy.id, "fit"), partial(written.resolved.report, place, message))
                return policy
            return self.calibrations.fit(policy, target, background)

        return fit


def threshold_of(folder: PolicyFolder, policy_id: str) -> Threshold:
    """Return the threshold of a policy, or child of one, as it is written. Raises `UsageError` for an unknown one."""
    for written in folder.written:
        for part, place in written.parts():
            if part == policy_id:
                return written.file.children[int(place[1])].threshold if place else written.file.threshold
    raise UsageError(f"no policy `{policy_id}`")


def load_policy_set(folder: Path) -> PolicySet:
    """Read `folder` as one set. Raises what `read_folder` does."""
    return read_folder(folder).compose()


def read_folder(folder: Path) -> PolicyFolder:
    """
    Read every `*.yaml` of `folder`.

    A `background.yaml` there replaces the shipped background bank, a `shared.yaml` has lists that policies use, and
    what a file whose name starts with `_` says is for others to extend. Raises `PolicyError` that shows every mistake
    of every file, each as file:line:column with its line and a caret; nothing is loaded then.
    """
    reports = Reports()
    files = _Files(folder, reports)
    found = []
    for document in files.policies:
        if reports.full:
            break
        if (written := files.policy(document)) is not None:
            found.append(written)
    _report_repeated_ids(found, reports)
    background = files.background()
    if reports:
        raise reports.error()
    if not found:
        raise PolicyError(f"`{one_line(folder)}`: no policy files; each `*.yaml` there is one policy")
    assert background is not None
    return PolicyFolder(tuple(found), background, Calibrations.load(folder))


class _Files:
    """The documents of a folder, and what they say."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._folder, self._reports = folder, reports
        paths = [path for path in list_policy_files(folder, reports) if path.name not in (BACKGROUND, SHARED)]
        documents = list(self._read(paths))
        self.policies = [document for document in documents if not document.path.name.startswith(PARTIAL)]
        known = {document.path.stem: document for document in documents if document.path.name.startswith(PARTIAL)}
        for document in self.policies:
            name = document.content.get("id")
            if isinstance(name, str):
                known[name] = document
        shared = read_document(folder / SHARED, reports) if _is_there(folder / SHARED) else None
        if shared is not None and self._validated(_as_written(shared), SharedFile) is None:
            shared = None
        self._resolver = Resolver(known, shared, reports)

    def _read(self, paths: list[Path]) -> Iterator[Document]:
        """Yield the files that can be read, and stop where the folder holds more than a set may."""
        values = 0
        for path in paths:
            document = None if self._reports.full else read_document(path, self._reports)
            if document is None:
                continue
            values += document.content.size
            if values > MOST_VALUES:
                message = f"with this file the folder holds more than {MOST_VALUES:,} values; make several sets of it"
                self._reports.add(path, "too much", partial(document.report, (), message))
                return
            yield document

    def policy(self, document: Document) -> ParsedPolicy | None:
        """Return what a policy file says in full."""
        resolved = self._resolver.resolve(document)
        file = self._validated(resolved, PolicyFile) if resolved is not None else None
        if resolved is None or file is None:
            return None
        return ParsedPolicy(resolved, file, self._head(resolved, file) if file.head else None)

    def _head(self, resolved: Resolved, file: PolicyFile) -> Head | None:
        """Read the head that a policy names, or report what is wrong with it and return None."""
        document, place = resolved.written_at(("head",))
        try:
            path = head_path(document.path.parent, str(file.head))
            found = read_json(HeadFile, path)
        except OSError as error:
            advice = f"`watchword policies fit-head {file.id} --labels FILE` writes it"
            reason = "" if isinstance(error, FileNotFoundError) else f": {why(error)}"
            message = f"`{brief(path)}` cannot be read{reason}; {advice}"
        except ValidationError as error:
            message = f"`{brief(path)}` is no head: {told(error)}"
        except RuntimeError:
            message = f"`{brief(str(file.head))}` is a link in a circle"
        except ValueError as error:
            message = f"`head` {brief(error)}"
        else:
            return Head(tuple(found.weights), found.bias, found.model)
        self._reports.add(document.path, (place, "head"), partial(document.report, place, message))
        return None

    def background(self) -> BackgroundFile | None:
        """Return the folder's background, or the shipped one."""
        own = self._folder / BACKGROUND
        document = read_document(own if _is_there(own) else SHIPPED_BACKGROUND, self._reports)
        resolved = self._resolver.resolve(document) if document is not None else None
        return self._validated(resolved, BackgroundFile) if resolved is not None else None

    def _validated(self, resolved: Resolved, model: type[FileT]) -> FileT | None:
        try:
            return model.model_validate(resolved.content)
        except ValidationError as error:
            report_all(error, resolved, model, self._reports)
            return None


def _unfitted(policy: Policy, target: Target) -> str:
    if target.queue is not None:
        return f"not fitted to {target} yet: `watchword policies calibrate {policy.id} --images FOLDER --per-day N`"
    return (
        f"not fitted to {target} yet: `watchword policies calibrate {policy.id} --labels FILE`; before there are "
        "labels, `threshold: { queue: 200/day }` serves"
    )


def _as_written(document: Document) -> Resolved:
    return Resolved(document, dict(document.content))


def _is_there(path: Path) -> bool:
    """Tell whether a folder has an entry of this name, also one that leads nowhere or may not be looked at."""
    return os.path.lexists(path)


def _report_repeated_ids(found: list[ParsedPolicy], reports: Reports) -> None:
    owners: dict[str, Path] = {}
    for each in found:
        path = each.resolved.document.path
        for policy_id, _ in each.parts():
            if owners.setdefault(policy_id, path) != path:
                message = f"`{policy_id}` is already the id of {owners[policy_id]}; choose another"
                reports.add(path, ("repeated", policy_id), partial(each.resolved.report, ("id",), message))
