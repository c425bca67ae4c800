"""The training loop: ranks of this machine or of `torchrun`, a schedule by processor time, a state to go on from."""

import copy
import json
import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from pipeline.models.training.fingerprint import require_same
from pipeline.models.training.gradients import average_gradients
from pipeline.models.training.learner import Learner
from pipeline.models.training.plot import plot_run
from pipeline.models.training.recipe import Schedule

STATE = "state.pt"
REPORT_EVERY = 0.04
CLIP_NORM = 5.0
# glibc gives large blocks back to the kernel at once; a training step asks for them again, at a page fault each.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


class Batches(Protocol):
    """Draws what one step learns from; `progress` is the share of the run that is over, 0 to 1."""

    def draw(self, progress: float) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Rank:
    """One of the processes of a run, each with a part of the data of its own."""

    number: int
    count: int
    seed: int


@dataclass(frozen=True)
class Job:
    """
    What every rank of a run is given; all of it can be pickled.

    `objective` makes what is trained; every rank's starts from the same weights. `learns` tells apart runs that learn
    different things, so that none goes on from another's state.
    `watch` measures the averaged module as the run goes; nothing is chosen by what it shows.
    """

    schedule: Schedule
    objective: Callable[[Rank], Learner]
    batches: Callable[[Rank], Batches]
    watch: Callable[[nn.Module], dict[str, float]]
    out: Path
    learns: str


def train(job: Job, *, resume: bool = False) -> dict[str, Tensor]:
    """
    Train and return the exponential moving average of the objective's state.

    Writes, as it goes, `out`/metrics.jsonl, plot.png and state.pt; with `resume`, a run that was interrupted goes on
    from there. Raises `UsageError` when what is there learnt something else.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    state = job.out / STATE
    if resume and state.exists():
        require_same(job.out, _load(state).get("learns"), job.learns)
    else:
        state.unlink(missing_ok=True)
        (job.out / "metrics.jsonl").unlink(missing_ok=True)
    os.environ.update(_KEEP_MEMORY)
    if under_torchrun():
        return _run_rank(int(os.environ["RANK"]), job)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    spawn(_run_local_rank, (job, place), nprocs=job.schedule.ranks)  # type: ignore[no-untyped-call]  # torch's
    average: dict[str, Tensor] = _load(state)["average"]
    return average


def under_torchrun() -> bool:
    """Tell whether this process is one of several that `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def count_ranks(asked: int) -> int:
    """Return how many ranks a run has: those that `torchrun` started, or as many as are asked for."""
    return int(os.environ["WORLD_SIZE"]) if under_torchrun() else asked


def leads() -> bool:
    """Tell whether this process is to write what a run leaves: under `torchrun`, one of them is."""
    return not under_torchrun() or os.environ["RANK"] == "0"


def _run_local_rank(number: int, job: Job, place: dict[str, str]) -> None:
    torch.set_num_threads(1)
    ranks = str(job.schedule.ranks)
    os.environ.update(place, WORLD_SIZE=ranks, LOCAL_WORLD_SIZE=ranks, LOCAL_RANK=str(number))
    _run_rank(number, job)


def _run_rank(number: int, job: Job) -> dict[str, Tensor]:
    """Return this rank's own average: under `torchrun` others may not see the files of the one that leads."""
    ranks, device = int(os.environ["WORLD_SIZE"]), _own_device()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=number, world_size=ranks)
    try:
        trainer = _Trainer(Rank(number, ranks, job.schedule.seed * 1000 + number), job, device)
        trainer.run()
        dist.barrier()
    finally:
        dist.destroy_process_group()
    return {name: value.cpu() for name, value in trainer.average.state_dict().items()}


def _own_device() -> torch.device:
    """Return a GPU for each rank of this machine, or the CPU for all: NCCL refuses two ranks on one GPU."""
    if torch.cuda.device_count() < int(os.environ["LOCAL_WORLD_SIZE"]):
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


class _Trainer:
    def __init__(self, rank: Rank, job: Job, device: torch.device) -> None:
        self.device = device
        self.leads, self.schedule, self.watch, self.out = rank.number == 0, job.schedule, job.watch, job.out
        self.learns = job.learns
        self.module = job.objective(rank).to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.module).eval()
        self.optimiser = torch.optim.AdamW(_decayed(self.module, self.schedule.weight_decay), lr=0.0)
        self.batches = job.batches(rank)
        self.trained_s, self.step = 0.0, 0
        if (self.out / STATE).exists():
            self._restore(_load(self.out / STATE, device))

    def run(self) -> None:
        started, spoken, loss = time.process_time() - self.trained_s, self._progress(), math.nan
        with Progress(console=Console(stderr=True), disable=not self.leads) as bar:
            task = bar.add_task(f"training in {self.out.name}", total=1.0)
            while (progress := self._agree(self._progress())) < 1:
                loss = self._learn(progress)
                self._follow()
                self.step += 1
                self.trained_s = time.process_time() - started
                bar.update(task, completed=progress)
                if self.leads and progress - spoken >= REPORT_EVERY:
                    spoken = progress
                    bar.console.print(self._report(progress, loss))
            bar.update(task, completed=1.0)
            if self.leads:
                bar.console.print(self._report(1.0, loss))

    def _progress(self) -> float:
        return self.trained_s / (60 * self.schedule.minutes)

    def _agree(self, progress: float) -> float:
        """Return rank 0's progress, so that every rank draws alike and stops at the same step."""
        shared = torch.tensor([progress], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def _learn(self, progress: float) -> float:
        rate = self.schedule.learning_rate * min(1.0, progress / self.schedule.warmup_share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * progress))
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.module.learn(*(part.to(self.device) for part in self.batches.draw(progress)))
        average_gradients(self.module)
        nn.utils.clip_grad_norm_(self.module.parameters(), CLIP_NORM)
        self.optimiser.step()
        return float(loss)

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        ours = self.module.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(ours[name], 1 - decay)
            else:
                value.copy_(ours[name])

    def _report(self, progress: float, loss: float) -> str:
        seen = self.watch(self.average)
        line = {"progress": round(progress, 3), "minutes": self.trained_s / 60, "step": self.step, "loss": loss, **seen}
        with (self.out / "metrics.jsonl").open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        plot_run(self.out / "metrics.jsonl", self.out / "plot.png")
        fresh = self.out / f"{STATE}.new"
        torch.save(self._state(), fresh)
        fresh.replace(self.out / STATE)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in seen.items())
        return f"{progress:5.0%} step {self.step} loss {loss:.3f}, {shown}"

    def _state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "trained_s": self.trained_s,
            "step": self.step,
            "learns": self.learns,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.trained_s, self.step = state["trained_s"], state["step"]


def _load(state: Path, device: torch.device | None = None) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(state, weights_only=True, map_location=device or "cpu")
    return kept


def _decayed(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters: matrices decay, biases, norms, embeddings of one dimension and the temperature do not."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
