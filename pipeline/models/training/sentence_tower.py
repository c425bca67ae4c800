"""A small text tower cut from a sentence encoder: some layers, and token vectors of fewer dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.training.language import Layer, mean_over_tokens
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.text_space import TextSpace

PAD_ID = 0


class SentenceTower(nn.Module):
    """
    Map token ids to embeddings like a sentence encoder based on BERT (Reimers and Gurevych 2019, section 3).

    Input: int64 [N, L], padded with 0; output: float [N, `dimension`], not yet unit length. Token vectors have
    `embedding` dimensions and are then widened (Lan et al. 2020, section 3.1): most of a small tower is its vocabulary.
    """

    def __init__(
        self, vocabulary: int, dimension: int, *, context: int, embedding: int, width: int, heads: int, depth: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, embedding)
        self.widen = nn.Linear(embedding, width)
        self.positions = nn.Parameter(torch.zeros(context, width))
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, heads, dropout=0.1, norm_first=False) for _ in range(depth))
        self.project = nn.Linear(width, dimension)

    def forward(self, input_ids: Tensor) -> Tensor:
        present = input_ids != PAD_ID
        x = self.norm(self.widen(self.tokens(input_ids)) + self.positions[: input_ids.shape[1]])
        for layer in self.layers:
            x = layer(x, present)
        projected: Tensor = self.project(functional.normalize(mean_over_tokens(x, present), dim=-1))
        return projected


def cut_tower(
    space: SentenceSpace, kept: Sequence[int], *, layers: Sequence[int], embedding: int, context: int
) -> SentenceTower:
    """
    Return a tower with the encoder's own weights, whose training then makes up for the missing parts.

    `kept`: the encoder's ids of the remaining tokens, in their new order; `layers`: the numbers of the remaining
    layers; `embedding`: the number of principal components of the token vectors. With every token, layer and component
    it computes the same as `space.embed`.
    """
    state, width = space.teacher.state(), len(space.space.basis)
    tower = SentenceTower(
        len(kept),
        space.space.basis.shape[1],
        context=context,
        embedding=embedding,
        width=width,
        heads=space.teacher.heads,
        depth=len(layers),
    )
    weights = {**_embedding_weights(state, kept, embedding, context), **_projection_weights(space.space)}
    for number, layer in enumerate(layers):
        own = _layer_weights(state, f"encoder.layer.{layer}")
        weights |= {f"layers.{number}.{name}": value for name, value in own.items()}
    tower.load_state_dict(weights)
    return tower


def _embedding_weights(
    state: Mapping[str, Tensor], kept: Sequence[int], embedding: int, context: int
) -> dict[str, Tensor]:
    tokens = _Principal.of(state["embeddings.word_embeddings.weight"][list(kept)].numpy(), embedding)
    return {
        "tokens.weight": torch.from_numpy(tokens.components),
        "widen.weight": torch.from_numpy(tokens.directions),
        "widen.bias": torch.from_numpy(tokens.mean) + state["embeddings.token_type_embeddings.weight"][0],
        "positions": state["embeddings.position_embeddings.weight"][:context],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }


def _projection_weights(space: TextSpace) -> dict[str, Tensor]:
    basis, mean = torch.from_numpy(space.basis), torch.from_numpy(space.mean)
    return {"project.weight": basis.T, "project.bias": -mean @ basis}


def _layer_weights(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights of one layer of BERT under the names of `Layer`."""
    renamed = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "mlp.0": "intermediate.dense",
        "mlp.2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    found = {
        f"{ours}.{kind}": state[f"{prefix}.{theirs}.{kind}"]
        for ours, theirs in renamed.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        parts = [state[f"{prefix}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        found[f"qkv.{kind}"] = torch.cat(parts)
    return found


@dataclass(frozen=True)
class _Principal:
    """Principal components, float32 [V, C], their directions, [W, C], and the mean, [W], of vectors [V, W]."""

    components: NDArray[np.float32]
    directions: NDArray[np.float32]
    mean: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], count: int) -> Self:
        mean = vectors.mean(axis=0)
        _, found = np.linalg.eigh(np.cov((vectors - mean).T.astype(np.float64)))
        directions = np.ascontiguousarray(found[:, ::-1][:, :count], dtype=np.float32)
        return cls((vectors - mean) @ directions, directions, mean)
