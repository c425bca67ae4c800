"""Gradients over ranks, and of losses over more pairs than fit in memory at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Embedder = Callable[[Tensor], Tensor]


def mixed_precision(device: torch.device) -> torch.autocast:
    """
    Return a context in which matrix products and convolutions are in bfloat16.

    Without its cache of cast weights: before PyTorch 2.11 one that was filled under `no_grad` kept gradients from the
    weights in a later pass (PyTorch issues 112583 and 158232).
    """
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context in which nothing is."""
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
    """Return all ranks' rows in the order of ranks; only this rank's own carry a gradient. All have as many."""
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
    Back-propagate a loss over the embeddings of all ranks' whole batches, a micro-batch at a time; returns the loss.

    `towers[i]` maps rows of `inputs[i]` to embeddings; `loss` takes the gathered embeddings, one tensor a tower, and
    returns a scalar, the same on every rank. Embeddings are computed without a graph first, the loss's gradient by
    them is kept, and each micro-batch is computed again to carry it on (GradCache: Gao et al. 2021, section 3.2), with
    the random numbers of the first time. Gradients, averaged over ranks afterwards, are those of one process with all.
    """
    embeds, states = [], []
    with torch.no_grad(), _still_statistics(towers):
        for tower, given in zip(towers, inputs, strict=True):
            pieces = []
            for piece in torch.split(given, micro_batch):
                states.append(_random_state(piece.device))
                pieces.append(tower(piece))
            embeds.append(torch.cat(pieces))
    leaves = [each.requires_grad_() for each in embeds]
    value = loss(*(gather(leaf) for leaf in leaves))
    torch.autograd.backward(value)
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    remembered = iter(states)
    after = _random_state(inputs[0].device)
    for tower, given, leaf in zip(towers, inputs, leaves, strict=True):
        assert leaf.grad is not None
        for piece, gradient in zip(torch.split(given, micro_batch), torch.split(leaf.grad, micro_batch), strict=True):
            _set_random_state(next(remembered))
            # Each rank holds its own rows' part alone, so that the later mean over ranks must be their sum.
            torch.autograd.backward(tower(piece), gradient * ranks)
    _set_random_state(after)
    return value.detach()


@contextmanager
def _still_statistics(towers: Sequence[Embedder]) -> Iterator[None]:
    """Keep running means of batches as they are: every batch is seen twice, and counts once."""
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


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    own, cuda = state
    torch.set_rng_state(own)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda)
