"""Prompt bank: the texts of a policy set, encoded as one matrix."""

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.ports import TextEncoder
from pipeline.events.policies import PolicySet, PromptBank


def build_prompt_bank(policy_set: PolicySet, encoder: TextEncoder) -> PromptBank:
    """
    Encode every prompt of `policy_set` once.

    A prompt's vector is the mean over its templates, normalized to unit length (Radford et al. 2021, section 3.1.4).
    Raises the errors of the encoder.
    """
    groups: list[list[str]] = []

    def add(phrases: tuple[str, ...], templates: tuple[str, ...]) -> tuple[int, int]:
        start = len(groups)
        groups.extend([[template.format(phrase) for template in templates] for phrase in phrases])
        return start, len(groups)

    background = add(policy_set.background.prompts, policy_set.background.templates)
    prompt_rows, contrast_rows = [], []
    for policy in policy_set.policies:
        prompt_rows.append(add(policy.prompts, policy.templates))
        contrast_rows.append(add(policy.contrast, policy.templates))
    return PromptBank(
        policy_set=policy_set,
        model_digest=encoder.model_digest,
        logit_scale=encoder.logit_scale,
        vectors=_encode_groups(groups, encoder),
        background_rows=background,
        prompt_rows=tuple(prompt_rows),
        contrast_rows=tuple(contrast_rows),
    )


def _encode_groups(groups: list[list[str]], encoder: TextEncoder) -> NDArray[np.float32]:
    texts = sorted({text for group in groups for text in group})
    index = {text: i for i, text in enumerate(texts)}
    embeds = encoder.encode_texts(texts).astype(np.float64)
    means = np.stack([embeds[[index[text] for text in group]].mean(axis=0) for group in groups])
    unit: NDArray[np.float32] = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return unit
