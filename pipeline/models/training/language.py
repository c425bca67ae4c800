"""The text tower trained here: a small transformer over byte-pair tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layer(nn.Module):
    """A pre-norm transformer layer with bidirectional attention over the tokens that are not padding."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads).unbind(2)
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask[:, None, None, :]
        )
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(n, length, width)))
        transformed: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return transformed


class TextTower(nn.Module):
    """
    Map token ids to embeddings.

    Input: int64 [N, L], padded with `pad_id`; output: float [N, `dimension`], not yet unit length. The tokens that are
    not padding are averaged. With `embedding`, tokens are looked up in so many dimensions and widened from there (Lan
    et al. 2020, section 3.1): a large vocabulary is most of a small tower.
    """

    def __init__(
        self,
        vocabulary: int,
        dimension: int,
        *,
        context: int,
        pad_id: int,
        width: int = 192,
        depth: int = 3,
        embedding: int | None = None,
    ) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.tokens = nn.Embedding(vocabulary, embedding or width)
        self.widen = nn.Linear(embedding, width, bias=False) if embedding else nn.Identity()
        self.positions = nn.Parameter(torch.randn(context, width) * 0.01)
        self.layers = nn.ModuleList(Layer(width, heads=4, dropout=0.1) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, dimension, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, input_ids: Tensor) -> Tensor:
        present = input_ids != self.pad_id
        x = self.widen(self.tokens(input_ids)) + self.positions[: input_ids.shape[1]]
        for layer in self.layers:
            x = layer(x, present)
        weights = present.to(x.dtype).unsqueeze(-1)
        pooled = (self.norm(x) * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        projected: Tensor = self.project(pooled)
        return projected
