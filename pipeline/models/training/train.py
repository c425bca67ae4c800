"""The training loop: ranks of this machine or of `torchrun`, a schedule by processor time, and a state to resume."""

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.models.training.fingerprint import require_same
from pipeline.models.training.gradients import average_gradients
from pipeline.models.training.learner import Learner
from pipeline.models.training.plot import plot_run
from pipeline.models.training.ranks import joined_ranks, leads, run_ranks, under_torchrun
from pipeline.models.training.recipe import Schedule
from pipeline.progress import NO_PROGRESS, Progress

STATE = "state.pt"
REPORT_EVERY = 0.04
CLIP_NORM = 5.0
# Of a run: its progress is counted in thousandths.
WHOLE = 1000
# glibc returns large blocks to the kernel at once; a training step asks for them again, at a page fault each.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


class Batches(Protocol):
    """Draws the batch of one step; `progress` is the share of the run that is over, 0 to 1."""

    def draw(self, progress: float) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Rank:
    """One of the processes of a run; each has a different part of the data."""

    number: int
    count: int
    seed: int


@dataclass(frozen=True)
class Job:
    """
    The task of every rank of a run; it can be pickled.

    `objective` makes the module to train, with the same initial weights on every rank. `watch` measures the averaged
    module during the run; nothing is chosen from its figures. `learns` is the fingerprint of data and settings, so that
    no run continues from the state of a different one.
    """

    schedule: Schedule
    objective: Callable[[Rank], Learner]
    batches: Callable[[Rank], Batches]
    watch: Callable[[nn.Module], dict[str, float]]
    out: Path
    learns: str


@dataclass(frozen=True)
class Advance:
    """Progress of a run since the last report, in thousandths, and a line of figures when some were measured."""

    thousandths: int
    figures: str | None = None


def train(job: Job, *, resume: bool = False, progress: Progress = NO_PROGRESS) -> dict[str, Tensor]:
    """
    Train and return the exponential moving average of the objective's state.

    Writes `out`/metrics.jsonl, plot.png and state.pt as it goes; with `resume`, an interrupted run continues from them.
    Raises `UsageError` when the run there has another fingerprint.
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
        return _train_under_torchrun(job, progress if leads() else NO_PROGRESS)
    _follow(run_ranks(_train_rank, job, count=job.schedule.ranks), job, progress)
    average: dict[str, Tensor] = _load(state)["average"]
    return average


def _follow(advances: Iterator[Advance], job: Job, progress: Progress) -> None:
    doing = f"training in {job.out.name}"
    for advance in progress.track(advances, doing, WHOLE, size=lambda each: each.thousandths):
        if advance.figures is not None:
            progress.notify(advance.figures)


def _train_rank(job: Job) -> Iterator[Advance]:
    with joined_ranks() as device:
        yield from _Trainer(_own_rank(job), job, device).run()


def _train_under_torchrun(job: Job, progress: Progress) -> dict[str, Tensor]:
    """Return this rank's own average: the leader's files may be on another machine."""
    with joined_ranks() as device:
        trainer = _Trainer(_own_rank(job), job, device)
        _follow(trainer.run(), job, progress)
    return {name: value.cpu() for name, value in trainer.average.state_dict().items()}


def _own_rank(job: Job) -> Rank:
    number = dist.get_rank()
    return Rank(number, dist.get_world_size(), job.schedule.seed * 1000 + number)


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

    def run(self) -> Iterator[Advance]:
        """Train to the end of the schedule; yield each thousandth, and the figures of the rank that leads."""
        started, reported, loss, advanced = time.process_time() - self.trained_s, self._progress(), math.nan, 0
        while (progress := self._agree(self._progress())) < 1:
            loss = self._learn(progress)
            self._average_in()
            self.step += 1
            self.trained_s = time.process_time() - started
            due = self.leads and progress - reported >= REPORT_EVERY
            if due:
                reported = progress
            if due or int(progress * WHOLE) > advanced:
                yield Advance(int(progress * WHOLE) - advanced, self._report(progress, loss) if due else None)
                advanced = int(progress * WHOLE)
        yield Advance(WHOLE - advanced, self._report(1.0, loss) if self.leads else None)

    def _progress(self) -> float:
        return self.trained_s / (60 * self.schedule.minutes)

    def _agree(self, progress: float) -> float:
        """Return the progress of rank 0, so that all ranks draw the same sizes and stop at the same step."""
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
    def _average_in(self) -> None:
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
    """Split parameters: matrices decay; biases, norms, one-dimensional embeddings and the temperature do not."""
    matrices = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
