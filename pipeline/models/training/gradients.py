"""Gradients over ranks, and of losses over more pairs than fit in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Embedder = Callable[[Tensor], Tensor]
# Of the CPU, and of the GPU if there is one.
_RandomState = tuple[Tensor, Tensor | None]


def mixed_precision(device: torch.device) -> torch.autocast:
    """
    Return a context in which matrix products and convolutions are computed in bfloat16.

    The cache of cast weights is switched off. Before PyTorch 2.11, a cache that was filled under `no_grad` kept
    gradients from reaching the weights in a later pass (PyTorch issues 112583 and 158232).
    """
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context in which everything is computed in float32."""
    return torch.autocast(device.type, enabled=False)


def average_gradients(module: nn.Module) -> None:
    """Replace every gradient by its mean over all ranks."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if dist.get_world_size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all ranks in order. Each rank gives the same number; only this rank's rows have gradients."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    parts[dist.get_rank()] = rows
    return torch.cat(parts)


def cached_backward(
    towers: Sequence[Embedder], inputs: Sequence[Tensor], loss: Callable[..., Tensor], *, micro_batch: int
) -> Tensor:
    """
    Back-propagate a loss over the embeddings of all ranks' whole batches, a micro-batch at a time; return the loss.

    `towers[i]` maps rows of `inputs[i]` to embeddings; `loss` takes the gathered embeddings, one tensor for each tower,
    and returns a scalar, the same on every rank. Embeddings are first computed without a graph, to get the gradients of
    the loss with respect to them. Then each micro-batch is recomputed with the same random numbers, to propagate these
    gradients (GradCache: Gao et al. 2021, section 3.2). The mean of the results over ranks is the gradient that one
    process with all rows would compute.
    """
    leaves, states = _embed(towers, inputs, micro_batch)
    value = loss(*(gather(leaf) for leaf in leaves))
    torch.autograd.backward(value)
    # Each rank has the gradients of its own rows alone, so the later mean over ranks must equal their sum.
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    remembered = iter(states)
    after = _random_state(inputs[0].device)
    for tower, rows, leaf in zip(towers, inputs, leaves, strict=True):
        assert leaf.grad is not None
        for piece, gradient in zip(torch.split(rows, micro_batch), torch.split(leaf.grad, micro_batch), strict=True):
            _set_random_state(next(remembered))
            torch.autograd.backward(tower(piece), gradient * ranks)
    _set_random_state(after)
    return value.detach()


def _embed(
    towers: Sequence[Embedder], inputs: Sequence[Tensor], micro_batch: int
) -> tuple[list[Tensor], list[_RandomState]]:
    """Return each tower's embeddings, as leaves, and the random state before each micro-batch."""
    leaves, states = [], []
    with torch.no_grad(), _fixed_statistics(towers):
        for tower, rows in zip(towers, inputs, strict=True):
            pieces = []
            for piece in torch.split(rows, micro_batch):
                states.append(_random_state(piece.device))
                pieces.append(tower(piece))
            leaves.append(torch.cat(pieces).requires_grad_())
    return leaves, states


@contextmanager
def _fixed_statistics(towers: Sequence[Embedder]) -> Iterator[None]:
    """Freeze running means: every batch is computed twice, but must count once."""
    norms = {
        module: module.momentum
        for tower in towers
        if isinstance(tower, nn.Module)
        for module in tower.modules()
        if isinstance(module, _BatchNorm)
    }
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum


def _random_state(device: torch.device) -> _RandomState:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(state: _RandomState) -> None:
    own, cuda = state
    torch.set_rng_state(own)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda)
