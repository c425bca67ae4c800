"""`watchword explain`: why an image was flagged, and proof that it was so."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from pipeline.broker.reader import read_topics
from pipeline.broker.topology import connection_of
from pipeline.cli.archive import open_archive
from pipeline.cli.console import output, plain_table, progress_output
from pipeline.cli.policies.publish import resolve_policy_set
from pipeline.cli.stream.read import outcome_fields
from pipeline.cli.transition import InProcess, note_access
from pipeline.counted import counted
from pipeline.errors import PolicyError, UsageError
from pipeline.events.policies import PolicySet
from pipeline.events.records import Origin
from pipeline.judge.explain import Explanation, explain
from pipeline.judge.score import Judge
from pipeline.settings import Settings, load_settings

MOST_AGAINST = 8


def run_explain(flag: str, policies: Path | None) -> int:
    """Print why; return 1 when the flag cannot be proved, else 0."""
    fields = _flag(flag)
    policy_set = _policy_set(fields["policy_set_digest"], policies)
    judged = InProcess(policy_set)
    content, embedding = _archived(fields)
    note_access((policy for policy in policy_set.policies if policy.id == fields["policy"]["id"]), "explain")
    found = explain(fields, embedding, content, Judge(judged.bank))
    _print(fields, found)
    return int(not found.proved)


def _flag(name: str) -> dict[str, Any]:
    """Return the fields of a flag: of a file, of standard input, or by its id from the flags' topic."""
    if name == "-" or os.path.isfile(name):  # noqa: PTH113 -- a path's `is_file` raises for a name that is too long
        found: dict[str, Any] = _read(name)
        if _is_flag(found):
            return found
        raise UsageError(f"`{name}`: not one flag event as JSON, as `watchword read flags` prints them")
    settings = load_settings(Settings)
    records = read_topics(connection_of(settings), [settings.topic_flags])
    for record in track(records, "looking for the flag", console=progress_output(), transient=True):
        fields = outcome_fields(record)
        if fields.get("flag_id") == name:
            return fields
    raise UsageError(f"no flag `{name}` on `{settings.topic_flags}`; give its event as a file, or `-`")


def _read(name: str) -> Any:
    try:
        return json.loads(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _is_flag(found: Any) -> bool:
    """Tell whether this has what is read of a flag event before its proof."""
    try:
        texts = (found["flag_id"], found["policy_set_digest"], found["model_digest"], found["policy"]["id"])
        about = (found["event"]["id"], found["event"]["source"], found["origin"]["topic"])
        places = (found["origin"]["partition"], found["origin"]["offset"])
    except (KeyError, TypeError):
        return False
    return all(isinstance(each, str) for each in (*texts, *about)) and all(isinstance(each, int) for each in places)


def _policy_set(digest: str, policies: Path | None) -> PolicySet:
    folder = policies or load_settings(Settings).policies
    if folder.is_dir():
        try:
            found = resolve_policy_set(str(folder))
        except PolicyError:
            if policies is not None:
                raise
        else:
            if found.digest == digest:
                return found
    if policies is not None:
        raise UsageError(f"`{policies}` is another policy set than the flag's, {digest[:12]}")
    return resolve_policy_set(digest)


def _archived(fields: dict[str, Any]) -> tuple[str, NDArray[np.float16]]:
    origin = fields["origin"]
    key = str(Origin(origin["topic"], origin["partition"], origin["offset"]))
    archive = open_archive()
    if found := archive.find(fields["model_digest"], key):
        return found
    raise UsageError(f"`{archive.address}` has no embedding of {key}: not archived yet, expired or deleted")


def _print(fields: dict[str, Any], found: Explanation) -> None:
    console = output()
    event = fields["event"]
    console.print(
        f"`{event['id']}` of `{event['source']}` was flagged by `{found.policy_id}`: "
        f"score {found.score:.3f}, threshold {found.threshold:.3f}"
    )
    table = plain_table("", "text", "cosine", "share")
    pro = [each for each in found.contributions if each.side == "prompt"]
    con = [each for each in found.contributions if each.side != "prompt"]
    for each in (*pro, *con[:MOST_AGAINST]):
        table.add_row(each.side, each.text, f"{each.similarity:.3f}", f"{each.share:.0%}")
    console.print(table)
    if len(con) > MOST_AGAINST:
        console.print(f"and {counted(len(con) - MOST_AGAINST, 'text')} further away")
    if found.proved:
        console.print("proved: made again from the archived embedding, it is the same flag")
    for difference in found.differences:
        console.print(f"differs: {difference}")
