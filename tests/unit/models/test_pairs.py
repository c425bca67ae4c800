"""Contrastive training on pairs: micro-batches and ranks save memory and never change the gradient."""

import csv
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.gradients import average_gradients, cached_backward, gather
from pipeline.models.training.language import TextTower
from pipeline.models.training.loss import multi_positive_loss
from pipeline.models.training.pairs import PairObjective, read_pairs
from pipeline.models.training.tokenizer import fit_tokenizer
from pipeline.models.training.vision import ImageTower
from tests.support.ports import free_ports

ROWS, RANKS = 12, 2
KINDS = torch.tensor([0, 1, 2, 3, 0, 4, 5, 1, 6, 7, 8, 0])


class Pair(nn.Module):
    """Two small towers and a temperature."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.image = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 4))
        self.text = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 4))
        self.log_scale = nn.Parameter(torch.tensor(1.5))

    def loss(self, kinds: Tensor, images: Tensor, texts: Tensor) -> Tensor:
        images, texts = functional.normalize(images, dim=-1), functional.normalize(texts, dim=-1)
        return multi_positive_loss(self.log_scale.exp() * images @ texts.T, kinds[:, None].eq(kinds).float())

    def gradients(self) -> dict[str, Tensor]:
        return {name: each.grad.clone() for name, each in self.named_parameters() if each.grad is not None}


def rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return torch.randn(ROWS, 6, generator=generator), torch.randn(ROWS, 3, generator=generator)


def at_once() -> tuple[Tensor, dict[str, Tensor]]:
    pair, (images, texts) = Pair(), rows()
    loss = pair.loss(KINDS, pair.image(images), pair.text(texts))
    torch.autograd.backward(loss)
    return loss.detach(), pair.gradients()


def in_pieces(pair: Pair, images: Tensor, texts: Tensor, kinds: Tensor, micro_batch: int) -> Tensor:
    return cached_backward((pair.image, pair.text), (images, texts), partial(pair.loss, kinds), micro_batch=micro_batch)


@pytest.mark.parametrize("micro_batch", [1, 5, 12, 100])
def test_micro_batches_give_the_loss_and_gradient_of_the_whole_batch(micro_batch: int) -> None:
    pair = Pair()
    loss = in_pieces(pair, *rows(), KINDS, micro_batch)
    expected, gradients = at_once()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(pair.gradients(), gradients)
    assert len(gradients) == 9


def test_dropout_drops_the_same_both_times() -> None:
    pair, (images, texts) = Pair(dropout=0.5), rows()
    torch.manual_seed(1)
    loss = pair.loss(KINDS, pair.image(images), pair.text(texts))
    torch.autograd.backward(loss)
    expected = pair.gradients()
    pair.zero_grad()
    torch.manual_seed(1)
    torch.testing.assert_close(in_pieces(pair, images, texts, KINDS, ROWS), loss.detach())
    torch.testing.assert_close(pair.gradients(), expected)


def test_running_means_count_a_batch_once() -> None:
    images, _ = rows()
    plain, cached = nn.BatchNorm1d(6), nn.BatchNorm1d(6)
    plain(images)
    cached_backward((cached,), (images,), lambda embeds: embeds.square().mean(), micro_batch=ROWS)
    torch.testing.assert_close(cached.running_mean, plain.running_mean)
    torch.testing.assert_close(cached.running_var, plain.running_var)
    assert cached.momentum == plain.momentum


def _rank(number: int, port: int, out: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=number, world_size=RANKS)
    torch.set_num_threads(1)
    share = ROWS // RANKS
    own = slice(number * share, (number + 1) * share)
    pair, (images, texts) = Pair(), rows()
    loss = in_pieces(pair, images[own], texts[own], gather(KINDS[own]), 4)
    average_gradients(pair)
    torch.save((loss, pair.gradients()), out / f"{number}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_have_the_loss_and_gradient_of_one_process(tmp_path: Path) -> None:
    """
    Features are gathered over gloo, in micro-batches of four; each rank has the gradient of one process with all rows.
    """
    [port] = free_ports(1)
    spawn(_rank, (port, tmp_path), nprocs=RANKS)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    expected, gradients = at_once()
    for number in range(RANKS):
        loss, found = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(found, gradients)


@pytest.fixture
def captioned(samples: Path, tmp_path: Path) -> Path:
    """Photographs of three kinds with two captions each, in a labels.csv with a column `caption`."""
    words = {"Motorbikes": ("a motorbike", "a motorcycle parked"), "watch": ("a watch", "a clock for the wrist")}
    words["airplanes"] = ("an airplane", "a jet in the air")
    with (samples / "labels.csv").open() as lines:
        found = [row for row in csv.DictReader(lines) if row["category"] in words]
    with (tmp_path / "labels.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["file", "category", "caption", "split"])
        for place, row in enumerate(found):
            for caption in words[row["category"]]:
                split = "val" if place % 4 == 0 else "train"
                table.writerow([samples / row["file"], row["category"], caption, split])
    return tmp_path


def test_pairs_have_captions_and_kinds_that_are_not_negatives(captioned: Path) -> None:
    pairs = read_pairs(captioned, "val")
    assert all(len(captions) == 2 for captions in pairs.captions)
    assert len(set(pairs.kinds.tolist())) == 3
    assert len(pairs.pixels) == len(pairs.captions) == len(pairs.kinds)


def test_missing_pairs_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not found; it must have the columns file, caption and split"):
        read_pairs(tmp_path, "train")
    (tmp_path / "labels.csv").write_text("file,caption,split\nx.jpg,a zebra,train\n")
    with pytest.raises(UsageError, match=r"names 1 files that do not exist, `x\.jpg` among them"):
        read_pairs(tmp_path, "train")


def test_every_weight_of_both_towers_learns_in_micro_batches() -> None:
    """In mixed precision, a cache of cast weights that was filled without gradients would block them."""
    torch.manual_seed(4)
    tokens = fit_tokenizer(["a watch", "a revolver"], vocabulary=60, context=8)
    text = TextTower(tokens.get_vocab_size(), 16, context=8, pad_id=0)
    objective = PairObjective(DualEncoder(ImageTower(16, 0.0), text), micro_batch=4)
    with torch.no_grad():
        for block in objective.modules():
            if isinstance(block, nn.BatchNorm2d):
                block.weight.fill_(1.0)  # a block's last norm begins at 0, which hides what is before it
    input_ids = torch.tensor([encoding.ids for encoding in tokens.encode_batch(["a watch", "a revolver"] * 4)])
    objective.learn(torch.randn(8, 3, 32, 32), input_ids, torch.arange(8))
    for name, weights in objective.named_parameters():
        assert weights.grad is not None, name
        assert weights.ndim == 1 or weights.grad.abs().max() > 0, name


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_processes_of_torchrun_train_one_bundle(captioned: Path) -> None:
    """Two processes with micro-batches learn, and write metrics, a plot and a bundle."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    watchword = str(Path(sys.executable).with_name("watchword"))
    words = [watchword, "models", "train", str(captioned), "--text", "pairs", "--minutes", "0.15"]
    options = ["--bundle", str(captioned / "bundle"), "--runs", str(captioned / "run"), "--micro-batch", "8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    [port] = free_ports(1)
    run = subprocess.run(
        [*command, str(port), *words, *options, "--batch", "16", "--name", "kinds"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    metrics = [json.loads(line) for line in (captioned / "run/pairs/metrics.jsonl").read_text().splitlines()]
    # A batch has sixteen images, so a loss says little; a loaded machine takes only some steps in this time.
    losses = [each["loss"] for each in metrics]
    assert min(losses[len(losses) // 2 :]) < losses[0]
    assert {"val_recall1", "logit_scale"} <= metrics[-1].keys()
    assert (captioned / "run/pairs/plot.png").read_bytes().startswith(b"\x89PNG")
    encoder = LocalEncoder(Bundle.load(captioned / "bundle"))
    assert encoder.encode_texts(["a motorbike"]).shape == (1, 256)
