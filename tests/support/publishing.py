"""Policy sets that change while workers judge, and the check of every verdict against the set it names."""

import re
import signal
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import policy_topic
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck
from pipeline.events.policies import PolicySet
from pipeline.policies.load import load_policy_set
from pipeline.releases.control_topic import ReleaseRequest, publish
from pipeline.settings import POLICY_SET_BYTES
from tests.support.stream import REPOSITORY, Stack, Stream
from tests.support.waiting import wait_until

EDITED = "weapons-firearms.yaml"


@dataclass(frozen=True)
class Outcome:
    """
    Outcome of a run.

    `published`: sets by digest; `judged_by`: numbers of verdicts by the digest they name; `contradictions`: number of
    answers that differ from the named set, or from its threshold applied to the stored score.
    """

    audit: DeliveryCheck
    published: dict[str, PolicySet]
    judged_by: Counter[str]
    contradictions: int


def published_stream(stack: Stack, folder: Path, **environment: str) -> Stream:
    """Return a stream with its own control topic, from which its workers take their policies."""
    environment |= {
        "WATCHWORD_POLICY_SOURCE": "topic",
        "WATCHWORD_TOPIC_POLICIES": f"control-{uuid.uuid4().hex[:10]}",
        "WATCHWORD_POLICY_INTERVAL_S": "0.2",
    }
    return Stream(stack, folder, partitions=4, **environment)


def two_policies(folder: Path) -> Path:
    """Make a folder of two of the shipped policies, without their examples."""
    folder.mkdir()
    for name in (EDITED, "wildlife-big_cats.yaml"):
        text = (REPOSITORY / "policies" / name).read_text()
        (folder / name).write_text(re.sub(r"(?ms)^examples:.*?(?=^\w|\Z)", "", text))
    return folder


def with_threshold(folder: Path, threshold: float) -> str:
    """Change a threshold and return the set's digest."""
    file = folder / EDITED
    file.write_text(re.sub(r"value: [-\d.]+", f"value: {threshold}", file.read_text()))
    return load_policy_set(folder).digest


def publish_edits(
    stream: Stream, folder: Path, photographs: Sequence[Path], *, images: int, changes: int, workers: int = 2
) -> Outcome:
    """Send `images` while sets change, and wait until all are judged."""
    ensure_topics(stream.connection, [policy_topic(stream.settings)])
    published: dict[str, PolicySet] = {}

    def put(number: int) -> None:
        with_threshold(folder, number / 8)
        policy_set = load_policy_set(folder)
        published[policy_set.digest] = policy_set
        proposal = ReleaseRequest(policy_set, parent=number, author="tests")
        publish(stream.connection, stream.settings.topic_policies, proposal, max_record_bytes=POLICY_SET_BYTES)

    put(0)
    running = [stream.worker() for _ in range(workers)]
    turns = list(islice(cycle(photographs), images))
    share = images // (changes + 1)
    for number in range(changes + 1):
        part = turns[number * share :] if number == changes else turns[number * share : (number + 1) * share]
        start = number * share
        stream.send(stream.image(f"{start + i}", path.read_bytes()) for i, path in enumerate(part))
        # The next set comes in the middle of this part, not between parts.
        stream.wait_until_committed(start + len(part) // 2, timeout_s=300)
        if number < changes:
            put(number + 1)
    stream.wait_until_committed(images, timeout_s=600)
    for worker in running:
        worker.signal(signal.SIGTERM)
    wait_until(lambda: not any(worker.running() for worker in running), 60, "the workers to end")
    verdicts = stream.verdicts()
    return Outcome(
        stream.audit(),
        published,
        Counter(verdict["policy_set_digest"] for verdict in verdicts),
        sum(_contradictions(verdict, published) for verdict in verdicts),
    )


def _contradictions(verdict: dict[str, Any], published: dict[str, PolicySet]) -> int:
    named = published.get(str(verdict["policy_set_digest"]))
    if named is None:
        return 1
    said = {each["id"]: each for each in verdict["policies"]}
    wrong = sum(
        policy.id not in said
        or said[policy.id]["digest"] != policy.digest
        or said[policy.id]["threshold"] != policy.threshold
        or said[policy.id]["flagged"] != (said[policy.id]["score"] >= policy.threshold)
        for policy in named.policies
    )
    return int(wrong) + abs(len(said) - len(named.policies))
