"""Explanation of flags: each is recomputed from the flag event and the archived embedding, prompt by prompt."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import vectors_of
from pipeline.broker.reader import read_topics
from pipeline.errors import OriginalGone, PolicyError, UnreadableRecord, UsageError
from pipeline.events.policies import Policy, PolicySet
from pipeline.events.wire.flag import FlagRecord
from pipeline.judge.explain import Contribution, Explanation, explain
from pipeline.operations.images.thumbnails import thumbnail_of_bytes
from pipeline.operations.originals import open_originals
from pipeline.operations.restricted import RestrictedImages
from pipeline.operations.stream.outcomes import readable_flag
from pipeline.operations.workbench import Workbench
from pipeline.releases.current import resolve_policy_set

_COLUMNS = ("content", "reference", "vector")


@dataclass(frozen=True, slots=True)
class FlaggedImage:
    """
    The archived image of a flag.

    `key`: topic, partition and offset of its record; `content`: SHA-256 of its bytes; `reference`: its address, empty
    if the record had its bytes. `vector`: float16 [D].
    """

    key: str
    content: str
    reference: str
    vector: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class ExplainedFlag:
    """
    A flag event and the explanation of its score.

    `policy`: the policy that raised it; None if the policy set has no policy with that id.
    """

    flag: FlagRecord
    policy: Policy | None
    explanation: Explanation
    image: FlaggedImage

    @property
    def prompts(self) -> tuple[Contribution, ...]:
        """The policy's prompts, the nearest to the image first."""
        return tuple(each for each in self.explanation.contributions if each.side == "prompt")

    @property
    def others(self) -> tuple[Contribution, ...]:
        """The contrast and background texts, the nearest to the image first."""
        return tuple(each for each in self.explanation.contributions if each.side != "prompt")


@dataclass(frozen=True, slots=True)
class FlagPicture:
    """A small JPEG of a flagged image, or None with the reason it is `missing`."""

    thumbnail: bytes | None
    missing: str = ""


def parse_flag(data: bytes, name: str) -> FlagRecord:
    """Read a flag event as JSON. Raises `UsageError`, in which `name` stands for the file."""
    try:
        return FlagRecord.parse_json(data, name)
    except UnreadableRecord as error:
        raise UsageError(
            f"`{name}`: not one flag event as JSON, as `watchword read flags` prints them: {error.problem}"
        ) from error


def find_flag(workbench: Workbench, flag_id: str) -> FlagRecord:
    """Return the flag with this id on the flags' topic. Raises `UsageError`, and `BrokerFault`."""
    topic, wanted = workbench.settings.topic_flags, flag_id.encode(errors="surrogateescape")
    for record in workbench.progress.track(read_topics(workbench.connection, [topic]), "looking for the flag"):
        if wanted in (record.value or b""):
            flag = readable_flag(record)
            if flag is not None and flag.flag_id == flag_id:
                return flag
    raise UsageError(f"no flag `{flag_id}` on `{topic}`; give its event as a file, or `-`")


def explain_flag(workbench: Workbench, flag: FlagRecord, policies: Path | None = None) -> ExplainedFlag:
    """
    Recompute a flag from its event and the archived embedding of its image.

    `policies`: the folder with the flag's policy set; by default, the folder in the settings or, if it has another set,
    the control topic. Raises `UsageError` when the set or the embedding cannot be found, and `BrokerFault`.
    """
    policy_set = _policy_set(workbench, flag.policy_set_digest, policies)
    image = _archived(workbench, flag)
    policy = next((each for each in policy_set.policies if each.id == flag.policy.id), None)
    workbench.access.note([policy] if policy else [], "explain")
    return ExplainedFlag(flag, policy, explain(flag, image.vector, image.content, workbench.judge(policy_set)), image)


def picture_of(workbench: Workbench, explained: ExplainedFlag, side: int) -> FlagPicture:
    """
    Return a picture of the flagged image whose longer side is at most `side` pixels, or the reason why there is none.

    There is none when the flag's policy is restricted, or a restricted policy of the active set flags the image. Raises
    `UsageError` when there is no active set, and `BrokerFault`.
    """
    if withheld := _withheld(workbench, explained):
        return FlagPicture(None, withheld)
    image = explained.image
    try:
        with open_originals(workbench.settings) as originals:
            original = originals.fetch(image.key, image.content, image.reference)
    except OriginalGone as gone:
        return FlagPicture(None, str(gone))
    thumbnail = thumbnail_of_bytes(original, side)
    return FlagPicture(thumbnail, "" if thumbnail else "the image cannot be decoded")


def _withheld(workbench: Workbench, explained: ExplainedFlag) -> str:
    """Return the reason why the image must not be shown; empty if it may be shown."""
    if explained.policy is None:
        return "the policy set lacks the flag's policy, which may be restricted"
    if explained.flag.model_digest != workbench.bundle.digest:
        return "another model judged the image; a restricted policy may flag it"
    if explained.policy.restricted or RestrictedImages(workbench, "explain --html").among([explained.image.key]):
        return "a restricted policy flags this image"
    return ""


def _policy_set(workbench: Workbench, digest: str, policies: Path | None) -> PolicySet:
    settings, progress = workbench.settings, workbench.progress
    folder = policies or settings.policies
    if folder.is_dir():
        try:
            found = resolve_policy_set(str(folder), settings, progress)
        except PolicyError:
            if policies is not None:
                raise
        else:
            if found.digest == digest:
                return found
    if policies is not None:
        raise UsageError(f"`{policies}` is not the flag's policy set, {digest[:12]}")
    return resolve_policy_set(digest, settings, progress)


def _archived(workbench: Workbench, flag: FlagRecord) -> FlaggedImage:
    key, archive = str(flag.origin), workbench.archive
    for batch in archive.of(flag.model_digest, "key", [key], _COLUMNS):
        for row, vector in zip(batch.select(_COLUMNS[:-1]).to_pylist(), vectors_of(batch), strict=True):
            return FlaggedImage(key, row["content"], row["reference"], vector)
    raise UsageError(f"`{archive.address}` has no embedding of {key}: not archived yet, expired or deleted")
