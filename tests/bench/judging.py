"""Judging against the bare matrix product of the same shapes."""

import json
import sys

import numpy as np

from pipeline.events.policies import Background, Mode, Policy, PolicySet, PromptBank, ScoreKind, Severity
from pipeline.judge.score import Judge
from tests.bench.timing import paired


def bench_judging() -> None:
    """Judging against the bare matrix product of the same shapes, alternating in one run."""
    rng = np.random.default_rng(1)
    dimension = 256
    for batch in (32, 256):
        for prompts, policies in ((10, 2), (1000, 50), (10_000, 500)):
            judge = Judge(random_bank(rng, prompts, policies, dimension))
            embeddings = rng.standard_normal((batch, dimension)).astype(np.float32)
            embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float16)
            wide, matrix = embeddings.astype(np.float32), np.ascontiguousarray(judge.bank.vectors.T)
            ratio, judged = paired(lambda: judge.judge(embeddings), lambda: wide @ matrix)  # noqa: B023 -- called at once
            sys.stdout.write(
                f"judging {batch} images by {prompts} prompts in {policies} policies: "
                f"{judged / batch * 1e6:.1f} µs an image, "
                f"÷ bare matrix product {ratio:.2f}{' (bar 2)' if prompts == 10_000 else ''}\n"
            )


def random_bank(rng: np.random.Generator, prompts: int, policies: int, dimension: int) -> PromptBank:
    """A bank with this total number of prompts: for each policy, half are prompts and half are contrast."""
    each = prompts // policies
    own = max(1, each // 2)
    vectors = rng.standard_normal((prompts, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = tuple(
        Policy(
            str(n), "", ("p",) * own, ("c",) * (each - own), ("{}",), ScoreKind.CONTRAST, 50.0, Severity.LOW, "", "",
            Mode.ENFORCE, provisional=False, digest="",
        )
        for n in range(policies)
    )  # fmt: skip
    rows = [(n * each, n * each + own, (n + 1) * each) for n in range(policies)]
    policy_set = PolicySet(made, Background((), ("{}",)), json.dumps(prompts))
    return PromptBank(
        policy_set, "", 20.0, vectors, (0, 0), tuple((a, b) for a, b, _ in rows), tuple((b, c) for _, b, c in rows)
    )
