"""The text tower trained here: a small transformer over byte-pair tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layer(nn.Module):
    """
    A transformer layer with bidirectional attention over the tokens that are not padding.

    It normalises the input of each half or, without `norm_first`, the sum of each half and its shortcut.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, norm_first: bool = True) -> None:
        super().__init__()
        self.heads, self.norm_first = heads, norm_first
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """`x`: float [N, L, W]; `present`: bool [N, L]. Returns float [N, L, W]."""
        if self.norm_first:
            x = x + self._attend(self.norm1(x), present)
            x = x + self.dropout(self.mlp(self.norm2(x)))
        else:
            x = self.norm1(x + self._attend(x, present))
            x = self.norm2(x + self.dropout(self.mlp(x)))
        return x

    def _attend(self, x: Tensor, present: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, width // self.heads).unbind(2)
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=present[:, None, None, :]
        )
        mixed: Tensor = self.dropout(self.out(attended.transpose(1, 2).reshape(n, length, width)))
        return mixed


def mean_over_tokens(x: Tensor, present: Tensor) -> Tensor:
    """Map float [N, L, W] to float [N, W]: the mean over the tokens that are not padding."""
    weights = present.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1.0)


class TextTower(nn.Module):
    """
    Map token ids to embeddings.

    Input: int64 [N, L], padded with `pad_id`; output: float [N, `dimension`], not yet unit length. It is the
    mean over the tokens that are not padding.
    """

    def __init__(
        self, vocabulary: int, dimension: int, *, context: int, pad_id: int, width: int = 192, depth: int = 3
    ) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(context, width) * 0.01)
        self.layers = nn.ModuleList(Layer(width, heads=4, dropout=0.1) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, dimension, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, input_ids: Tensor) -> Tensor:
        present = input_ids != self.pad_id
        x = self.tokens(input_ids) + self.positions[: input_ids.shape[1]]
        for layer in self.layers:
            x = layer(x, present)
        projected: Tensor = self.project(mean_over_tokens(self.norm(x), present))
        return projected
