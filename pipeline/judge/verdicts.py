"""Verdicts and flags of decoded images, from their embeddings."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import FlagEvent, PromptSimilarity, Raise, Verdict, flag_id
from pipeline.events.policies import Mode, Policy, PromptBank
from pipeline.judge.decide import decide
from pipeline.judge.score import Judge

# The number of contrast and background prompts in a flag event, nearest first: they came closest to preventing it.
NEAREST_CONTRAST = 5


def judge_images(
    images: Sequence[DecodedImage], embeddings: NDArray[np.float32], judge: Judge, time: datetime
) -> list[Verdict]:
    """
    Judge decoded images by their embeddings, float32 [N, D].

    Embeddings are rounded to float16 first, as they are archived. `time` is the time of the verdicts, in UTC. A policy
    that has expired by then flags nothing.
    """
    if not images:
        return []
    archived = embeddings.astype(np.float16)
    scores, bank = judge.judge(archived), judge.bank
    policies = bank.policy_set.policies
    answers = decide(policies, scores.flagged, [image.event for image in images])
    enforced = np.array([policy.enforced(time.date()) for policy in policies], dtype=bool)
    verdicts = []
    for i, image in enumerate(images):
        flagged = answers.flagged[i]
        raises = [Raise(policies[p], float(scores.raw[i, p])) for p in np.flatnonzero(flagged) if _raises(policies[p])]
        flags = tuple(
            _flag(image, archived[i], bank, int(p), float(scores.raw[i, p]), raises)
            for p in np.flatnonzero(flagged & enforced)
        )
        verdict = Verdict(
            image=image,
            embedding=archived[i],
            scores=scores.raw[i],
            in_scope=answers.in_scope[i],
            flagged=flagged,
            flags=flags,
            policy_set=bank.policy_set,
            model_digest=bank.model_digest,
            time=time,
        )
        verdicts.append(verdict)
    return verdicts


def _raises(policy: Policy) -> bool:
    return policy.parent is not None and policy.mode is Mode.ENFORCE


def _flag(
    image: DecodedImage,
    embedding: NDArray[np.float16],
    bank: PromptBank,
    index: int,
    score: float,
    raises: Sequence[Raise],
) -> FlagEvent:
    policy = bank.policy_set.policies[index]
    own = flag_id(image.event.source, image.event.id, policy.id, policy.digest, bank.model_digest)
    vector = embedding.astype(np.float32)

    def similarities(kind: str, texts: tuple[str, ...], rows: tuple[int, int]) -> list[PromptSimilarity]:
        cosines = (bank.vectors[rows[0] : rows[1]] @ vector).tolist()
        return [PromptSimilarity(kind, text, cosine) for text, cosine in zip(texts, cosines, strict=True)]

    prompts = similarities("prompt", policy.prompts, bank.prompt_rows[index])
    against = similarities("contrast", policy.contrast, bank.contrast_rows[index])
    against += similarities("background", bank.policy_set.background.prompts, bank.background_rows)
    against.sort(key=lambda each: -each.similarity)
    raised_by = tuple(each for each in raises if each.policy.parent == policy.id)
    return FlagEvent(own, policy, score, (*prompts, *against[:NEAREST_CONTRAST]), raised_by)
