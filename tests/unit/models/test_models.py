"""Training: captions, the loss, augmentation, and a short run that learns and becomes a bundle."""

import csv
import logging
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import UsageError
from pipeline.evaluation.stats.intervals import wilson
from pipeline.events.images import PixelSpec
from pipeline.models.captions import BUNDLED_TABLE, Captions, with_article
from pipeline.models.compact import compact_bundle
from pipeline.models.dataset import load_split
from pipeline.models.evaluation.zero_shot import Figures, measure
from pipeline.models.spread import spread
from pipeline.models.training.augment import Augmentation, erase, jitter_colour, mix, warp
from pipeline.models.training.card import Held, card
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.export import export_bundle
from pipeline.models.training.image_batches import require_batches
from pipeline.models.training.joint import train_towers
from pipeline.models.training.language import TextTower
from pipeline.models.training.loss import multi_positive_loss
from pipeline.models.training.recipe import ImageRecipe, Schedule
from pipeline.models.training.tokenizer import fit_tokenizer
from pipeline.models.training.vision import ImageTower, normalise
from pipeline.progress import NoProgress, one

T = TypeVar("T")


class Recorded(NoProgress):
    """Progress that keeps the sum and the total of each bar, and the notices."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.totals: dict[str, int | None] = {}
        self.notices: list[str] = []

    def track(
        self, items: Iterable[T], doing: str, total: int | None = None, size: Callable[[T], int] = one
    ) -> Iterator[T]:
        self.totals[doing] = total
        for item in items:
            yield item
            self.sums[doing] += size(item)

    def notify(self, message: str) -> None:
        self.notices.append(message)


def test_no_name_belongs_to_two_categories(tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    table.write_text("categories: {a: [thing], b: [thing]}\ngroups: {}\ntemplates: ['{}']\n")
    with pytest.raises(UsageError, match="`thing` names both"):
        Captions.load(table)


def test_every_category_gets_one_caption_a_step() -> None:
    captions = Captions.load(BUNDLED_TABLE)
    drawn = captions.draw_categories(random.Random(1))
    assert len(drawn) == len(captions.categories) == 99
    assert captions.membership().shape == (99, len(captions.groups))


def test_articles_fit_their_words() -> None:
    assert with_article("a photo of a elephant") == "a photo of an elephant"


def test_the_loss_equals_clips_when_each_image_has_one_text() -> None:
    """This is the mean of both cross-entropies over the diagonal (Radford et al. 2021, figure 3)."""
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(1))
    target = torch.arange(6)
    want = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(multi_positive_loss(logits, torch.eye(6)), want)


def test_photographs_of_one_category_are_not_each_others_negatives() -> None:
    """With two images of one text, the loss is least when both match it alike."""
    matches = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    both = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    one = torch.tensor([[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]])
    assert multi_positive_loss(both, matches) < multi_positive_loss(one, matches)


def test_texts_and_images_without_a_match_are_left_out() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    matches = torch.zeros(3, 4)
    assert float(multi_positive_loss(logits, matches)) == 0.0


def test_augmentation_keeps_shape_and_range_and_mixes_labels_with_pixels() -> None:
    generator, how = torch.Generator().manual_seed(3), Augmentation(mix_probability=1.0, erase_probability=1.0)
    images = torch.rand(8, 3, 32, 32, generator=generator)
    matches = torch.eye(8)
    out = warp(images, 24, how, generator)
    out, mixed = mix(erase(jitter_colour(out, how, generator), how, generator), matches, how, generator)
    assert out.shape == (8, 3, 24, 24)
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
    torch.testing.assert_close(mixed.sum(1), torch.ones(8))


def test_unusable_input_is_reported_before_training(tmp_path: Path, samples: Path) -> None:
    """Cases: an existing bundle, a missing split, an option of another kind of run."""
    used = tmp_path / "used"
    used.mkdir()
    (used / "manifest.json").write_text("{}")
    (tmp_path / "labels.csv").write_text(f"file,category,split\n{samples}/images/watch/image_0001.jpg,watch,train\n")
    run = CliRunner()
    for words, said in (
        ([str(tmp_path), "--bundle", str(used)], "not empty"),
        ([str(tmp_path), "--bundle", str(tmp_path / "new")], "no rows of the split `val`"),
        ([str(tmp_path), "--bundle", str(tmp_path / "new"), "--micro-batch", "8"], "is for `--text pairs`"),
    ):
        found = run.invoke(app, ["models", "train", *words])
        assert isinstance(found.exception, UsageError), words
        assert said in str(found.exception)
        assert not (tmp_path / "new").exists()


def test_a_category_without_a_caption_is_reported(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,category,split\nx.jpg,zebra,val\n")
    with pytest.raises(UsageError, match="the caption table has no zebra"):
        load_split(tmp_path, "val", PixelSpec(32, "squash"), ("watch",))


def test_a_caption_table_that_lacks_a_part_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not found"):
        Captions.load(tmp_path / "table.yaml")
    (tmp_path / "table.yaml").write_text("categories: {zebra: [zebra]}\n")
    with pytest.raises(UsageError, match="has no groups, templates"):
        Captions.load(tmp_path / "table.yaml")


def test_a_sample_is_spread_evenly_over_all_items() -> None:
    assert list(spread(range(127), 64))[-1] == 125
    assert len(spread(range(127), 64)) == len(set(spread(range(127), 64))) == 64
    assert list(spread(range(5), 64)) == [0, 1, 2, 3, 4]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,kind\nx.jpg,zebra\n")
    with pytest.raises(UsageError, match="has no column category, split"):
        load_split(tmp_path, "val", PixelSpec(32, "squash"), ("watch",))


def test_a_rank_without_a_batch_is_reported_at_once() -> None:
    with pytest.raises(UsageError, match="100 images are fewer than one batch of 96 for each of 2 ranks"):
        require_batches(100, Schedule())


def test_the_card_of_other_data_makes_no_claims_of_the_bundled_model(tmp_path: Path, bundle: Bundle) -> None:
    """
    It names no source of the photographs, does not say that they show no people, and has no figures of our captions.
    """
    table = tmp_path / "table.yaml"
    table.write_text("categories: {watch: [watch]}\ngroups: {}\ntemplates: ['{}']\n")
    figures = Figures(3, 1.0, 1.0, wilson(3, 3), 1.0, (("watch", 1.0),))
    held = {"test": Held(figures, {})}
    ours = card(bundle.manifest, Captions.load(BUNDLED_TABLE), held, "captions", {}, data=tmp_path)
    other = card(bundle.manifest, Captions.load(table), held, "captions", {}, data=tmp_path)
    for claim in ("Caltech", "no people", "no content word", "fit to moderate"):
        assert claim in ours
        assert claim not in other
    assert f"`{tmp_path}`. Say here where its photographs come from" in other


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_short_run_learns_and_its_bundle_computes_the_same_as_the_towers(tmp_path: Path, samples: Path) -> None:
    """Two ranks train on four categories for a few seconds: far better than chance, and ONNX equals torch."""
    wanted = ("Motorbikes", "airplanes", "watch", "Leopards")
    with (samples / "labels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["category"] in wanted]
    with (tmp_path / "labels.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["file", "category", "split"])
        for place, row in enumerate(rows):
            split = "val" if place % 4 == 0 else "train"
            writer.writerow([samples / row["file"], row["category"], split])
    (tmp_path / "table.yaml").write_text(
        "categories: {Motorbikes: [motorbike], airplanes: [airplane], watch: [watch], Leopards: [leopard]}\n"
        "groups: {vehicle: [Motorbikes, airplanes]}\ntemplates: ['{}', 'a photo of a {}']\n"
    )
    captions = Captions.load(tmp_path / "table.yaml")
    schedule = Schedule(minutes=0.25, batch=16, warmup_share=0.1)
    recipe = ImageRecipe(schedule=schedule, resolutions=(32,), vocabulary=300, context=12)
    progress = Recorded()
    model, tokenizer = train_towers(tmp_path, captions, recipe, tmp_path / "run", progress=progress)
    assert progress.sums["training in run"] == progress.totals["training in run"] == 1000
    assert all("loss" in notice and "val_top1" in notice for notice in progress.notices)
    assert progress.notices[-1].startswith(" 100% step")
    export_bundle(model, tokenizer, tmp_path / "bundle", name="tiny", image_size=32)
    bundle = Bundle.load(tmp_path / "bundle")
    assert measure(tmp_path, bundle, captions, "val").top1 > 0.4

    images = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        scaled = normalise(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
        want = functional.normalize(model.image(scaled), dim=-1).numpy()
    np.testing.assert_allclose(LocalEncoder(bundle).encode_images(images), want, atol=1e-5)
    session = ort.InferenceSession(bundle.image_tower)
    assert session.get_inputs()[0].type == "tensor(uint8)"


def export_tiny(folder: Path) -> None:
    torch.manual_seed(3)
    tokenizer = fit_tokenizer(["a watch", "a revolver"], vocabulary=400, context=12)
    model = DualEncoder(ImageTower(64, 0.0), TextTower(tokenizer.get_vocab_size(), 64, context=12, pad_id=0)).eval()
    export_bundle(model, tokenizer, folder, name="tiny", image_size=32)


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_an_export_does_not_warn(tmp_path: Path) -> None:
    """PyTorch's exporter logs warnings that nobody who trains a model can act on."""
    handler, logger = Records(), logging.getLogger("torch.onnx")
    logger.addHandler(handler)
    try:
        export_tiny(tmp_path / "tiny")
    finally:
        logger.removeHandler(handler)
    assert handler.messages == []


def test_a_compact_bundle_has_half_the_size_and_computes_the_same(tmp_path: Path) -> None:
    """From exported float32 weights: at most half the bytes, with embeddings equal to four digits."""
    export_tiny(tmp_path / "full")
    shutil.copytree(tmp_path / "full", tmp_path / "compact")
    manifest = compact_bundle(tmp_path / "compact")
    full, compact = (Bundle.load(tmp_path / name) for name in ("full", "compact"))
    assert compact.digest == manifest.digest != full.digest
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    ours, theirs = LocalEncoder(compact), LocalEncoder(full)
    assert (ours.encode_images(images) * theirs.encode_images(images)).sum(1).min() > 0.9999
    texts = ["a watch", "something else"]
    assert (ours.encode_texts(texts) * theirs.encode_texts(texts)).sum(1).min() > 0.999
    for tower in ("image_tower", "text_tower"):
        assert getattr(compact, tower).stat().st_size < 0.55 * getattr(full, tower).stat().st_size
