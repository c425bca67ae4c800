"""Published models become bundles with equal embeddings, for all their ways to resize, tokenize, pad and project."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder, open_session
from pipeline.errors import UsageError
from pipeline.evaluation.offline.embed import Embedded, embed_files
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.models.engines.quantise_linear import count_products, quantise_products
from pipeline.models.importing.bundle import import_bundle
from pipeline.models.importing.check import PROBES, ImportParity, check_import
from pipeline.models.importing.source import Source, load_source
from tests.support.odd_images import write_odd_images
from tests.support.sources import TINY, write_clip, write_siglip, write_siglip2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Imported:
    """A source, its bundle, and how the two compare."""

    source: Source
    bundle: Bundle
    digest: str
    parity: ImportParity


@pytest.fixture(scope="module")
def odd_images(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    photographs = [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))]
    return write_odd_images(tmp_path_factory.mktemp("odd"), photographs, 12)


@pytest.fixture(scope="module", params=[write_clip, write_siglip, write_siglip2])
def imported(
    request: pytest.FixtureRequest, odd_images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Imported:
    """Each family's model, imported."""
    folder = tmp_path_factory.mktemp("imported")
    source = load_source(str(request.param(folder / "source", TINY)))
    manifest, parity = import_bundle(source, folder / "bundle", odd_images, name="imported")
    return Imported(source, Bundle.load(folder / "bundle"), manifest.digest, parity)


def test_an_imported_bundle_computes_the_same_as_transformers(imported: Imported, odd_images: list[Path]) -> None:
    bundle, parity = imported.bundle, imported.parity
    assert bundle.digest == imported.digest
    assert parity.image_cosine_min >= 0.9999
    assert parity.text_cosine_min >= 0.9999
    assert parity.images == len(odd_images)
    assert parity.texts == len(PROBES)
    outcomes = embed_files(odd_images, LocalEncoder(bundle), bundle.pixels, ImageLimits())
    embeddings = np.stack([each.embedding for each in outcomes if isinstance(each, Embedded)])
    similarities = (embeddings @ embeddings.T)[~np.eye(len(embeddings), dtype=bool)]
    assert np.median(similarities) < 0.9, "the images' embeddings differ, so that nearness says something"


def test_padding_that_the_source_masks_is_masked(odd_images: list[Path], tmp_path: Path) -> None:
    """A tokenizer whose configuration asks for a mask gets one, even if it pads with its end token."""
    folder = write_siglip(tmp_path / "source", TINY)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_input_names": ["input_ids", "attention_mask"]}))
    source = load_source(str(folder))
    assert source.masks_padding
    assert source.tokenizer.pad_token_id == source.tokenizer.eos_token_id
    _, parity = import_bundle(source, tmp_path / "bundle", odd_images[:1], name="masked")
    assert parity.text_cosine_min >= 0.9999


def test_a_bundle_that_differs_is_refused_and_removed(
    odd_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here its image tower is exported with a wrong mean."""
    source = load_source(str(write_clip(tmp_path / "source", TINY)))
    source.image_processor.image_mean = [0.3, 0.3, 0.3]
    with pytest.raises(UsageError, match="the minimum image cosine is"):
        import_bundle(source, tmp_path / "bundle", odd_images[:2], name="wrong")
    assert not (tmp_path / "bundle").exists()


def test_missing_weights_are_named_not_filled_in(tmp_path: Path) -> None:
    """`transformers` would fill them with random numbers, and the bundle would have the same ones."""
    folder = write_clip(tmp_path / "source", TINY)
    kept = load_file(folder / "model.safetensors")
    kept.pop("visual_projection.weight")
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lack 1 of the model's weights, visual_projection\.weight"):
        load_source(str(folder))


def test_an_import_that_is_interrupted_leaves_nothing(
    odd_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source = load_source(str(write_clip(tmp_path / "source", TINY)))
    monkeypatch.setattr("pipeline.models.importing.bundle.check_import", interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_bundle(source, tmp_path / "out/bundle", odd_images[:1], name="half")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("imported", [write_clip], indirect=True)
def test_the_check_detects_differently_cropped_pixels(
    imported: Imported, odd_images: list[Path], tmp_path: Path
) -> None:
    path = shutil.copytree(imported.bundle.folder, tmp_path / "bundle") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "resize": "squash"}))
    assert check_import(imported.source, Bundle.load(path.parent), odd_images[:1], PROBES).refusals(0.9999)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": {"height": 48, "width": 48}}, "crops to"),
        ({"resample": 0}, "resizes with filter 0"),
        ({"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}, "its image tower takes 64"),
    ],
)
def test_a_configuration_that_a_bundle_cannot_express_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_clip(tmp_path, TINY)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=message):
        load_source(str(folder))


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_clip(tmp_path, TINY)
    path = folder / "config.json"
    path.write_text(json.dumps({"model_type": "bert", "hidden_size": 32, "num_attention_heads": 2}))
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_source(str(folder))


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not found"):
        load_source(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="`--revision main` is of a hub id"):
        load_source(str(tmp_path), "main")


def test_the_int8_engine_of_a_transformer_does_not_depend_on_its_batch(
    imported: Imported, samples: Path, tmp_path: Path
) -> None:
    """
    Scales of activations are constants in its graph; products are in integers, and the rest is computed row by row.
    """
    parent = imported.bundle
    files = sorted((samples / "images").rglob("*.jpg"))[::40]
    pixels = np.stack([decode(file.read_bytes(), parent.pixels, ImageLimits()).pixels for file in files])
    assert count_products(parent.image_tower) > 10
    quantise_products(parent.image_tower, tmp_path / "int8.onnx", pixels[::2])
    engine, reference = open_session(tmp_path / "int8.onnx", 1), LocalEncoder(parent)
    whole = engine.run(None, {"images": pixels})[0]
    for size in (1, 8):
        parts = [engine.run(None, {"images": pixels[i : i + size]})[0] for i in range(0, len(pixels), size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert (whole * reference.encode_images(pixels)).sum(axis=1).min() > 0.99
    assert (tmp_path / "int8.onnx").stat().st_size < 0.6 * parent.image_tower.stat().st_size
