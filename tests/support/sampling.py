"""An archive, an edit, and the coverage of a sampled back-test's intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Backtest
from pipeline.evaluation.stats.binomial import scaled
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set

SINCE = datetime(2031, 5, 1, tzinfo=UTC)
# Share of images that are archived from before the period.
OLDER = 0.1


@dataclass(frozen=True)
class Sampling:
    """An archive and two sets."""

    archive: Archive
    model: str
    compare: Callable[[], PolicySetComparison]

    def whole(self) -> Backtest:
        rows = self.archive.scan(self.model, COLUMNS, "time >= timestamp '2031-05-01 00:00:00'")
        return self.compare().run(map(part_of, rows))

    def draw(self, share: float, seed: int) -> tuple[Backtest, int]:
        rng = np.random.default_rng(seed)
        images, batches = self.archive.sample(self.model, COLUMNS, SINCE, share, rng)
        return self.compare().run(map(part_of, batches)), images

    def covered(self, share: float, draws: int) -> dict[str, float]:
        """The share of draws in which each count's interval contains the count over all images."""
        whole, held = self.whole(), dict[str, int]()
        for seed in range(draws):
            found, images = self.draw(share, seed)
            assert images == whole.images
            for policy_id, change in found.policies.items():
                for name in ("newly_flagged", "newly_cleared", "after"):
                    truth = getattr(whole.policies[policy_id], name)
                    inside = not scaled(getattr(change, name), found.images, images).excludes(truth)
                    key = f"{policy_id} {name} ({truth})"
                    held[key] = held.get(key, 0) + inside
        return {key: count / draws for key, count in held.items()}


def make_sampling(folder: Path, policies: Path, encoder: LocalEncoder, images: int) -> Sampling:
    """
    Archive embeddings near the texts of things.

    Every policy flags about 10 % of them. With the edit, policies flag 13 % and 7 % alternately.
    """
    rng = np.random.default_rng(8)
    things = ["a revolver", "a leopard", "a watch", "a tree", "a chair", "a flamingo", "a dollar", "a laptop"]
    texts = encoder.encode_texts(things)
    archive = Archive(str(folder / "archive"))
    for at in range(0, images, 20_000):
        count = min(20_000, images - at)
        noisy = texts[rng.integers(0, len(things), count)] + rng.normal(0, 0.06, (count, texts.shape[1]))
        vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
        times = SINCE + np.where(rng.random(count) < OLDER, -1, 1) * timedelta(hours=1)
        archive.add(
            [
                ArchivedEmbedding(
                    f"i/0/{at + n}", encoder.model_digest, f"e{at + n}", "shop", "{}", "c", times[n], "s", vectors[n]
                )
                for n in range(count)
            ]
        )
    shipped = load_policy_set(policies)
    scores = Judge(build_prompt_bank(shipped, encoder)).judge(vectors).raw

    def flagging(shares: Sequence[float]) -> PolicySet:
        thresholds = [float(np.quantile(scores[:, column], 1 - share)) for column, share in enumerate(shares)]
        pairs = zip(shipped.policies, thresholds, strict=True)
        return compose([with_digest(replace(policy, threshold=at)) for policy, at in pairs], shipped.background)

    count = len(shipped.policies)
    before, after = flagging([0.1] * count), flagging([0.07 if column % 2 else 0.13 for column in range(count)])
    banks = {each.digest: build_prompt_bank(each, encoder) for each in (before, after)}

    def judge(policy_set: PolicySet) -> Judge:
        if policy_set.digest not in banks:
            banks[policy_set.digest] = build_prompt_bank(policy_set, encoder)
        return Judge(banks[policy_set.digest])

    return Sampling(archive, encoder.model_digest, lambda: PolicySetComparison(before, after, judge, threads=2))
