"""Ranks: the processes of a training run, started here or by `torchrun`."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

T = TypeVar("T")


def under_torchrun() -> bool:
    """Tell whether `torchrun` started this process, as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def count_ranks(wanted: int) -> int:
    """Return the number of ranks of a run: the processes that `torchrun` started, else `wanted`."""
    return int(os.environ["WORLD_SIZE"]) if under_torchrun() else wanted


def leads() -> bool:
    """Tell whether this process writes the run's results. Under `torchrun` one process does."""
    return not under_torchrun() or os.environ["RANK"] == "0"


@contextmanager
def joined_ranks() -> Iterator[torch.device]:
    """Join the other ranks, as the environment of `torchrun` describes them, and yield this rank's device."""
    device = _own_device()
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=count)
    try:
        yield device
        dist.barrier()
    finally:
        dist.destroy_process_group()


def run_ranks(run: Callable[..., Iterator[T]], *given: object, count: int) -> Iterator[T]:
    """
    Start `count` ranks on this machine; yield the items of the first rank's `run(*given)` as they come.

    `run`, `given` and the items are pickled. Raises the error of a rank that fails, and ends the others then.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": str(count)}
    items, sender = Pipe(duplex=False)
    context = spawn(_run_rank, (address, sender, run, given), nprocs=count, join=False)  # type: ignore[no-untyped-call]
    try:
        yield from _until_all_end(context, items)
    finally:
        for process in context.processes:
            process.terminate()


def _until_all_end(context: Any, items: "Connection[Any, Any]") -> Iterator[Any]:
    ended = False
    while not ended:
        wait([items, *context.sentinels])
        ended = context.join(timeout=0)
        while items.poll():
            yield items.recv()


def _run_rank(
    rank: int, address: dict[str, str], sender: "Connection[Any, Any]", run: Callable[..., Iterator[Any]], given: Any
) -> None:
    torch.set_num_threads(1)
    os.environ.update(address, LOCAL_WORLD_SIZE=address["WORLD_SIZE"], LOCAL_RANK=str(rank), RANK=str(rank))
    for item in run(*given):
        if rank == 0:
            sender.send(item)


def _own_device() -> torch.device:
    """Return one GPU for each rank of this machine, else the CPU for all: NCCL refuses two ranks on one GPU."""
    if torch.cuda.device_count() < int(os.environ["LOCAL_WORLD_SIZE"]):
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device
