"""Golden probes: a sound path passes, every planted fault of model, pixels, texts and policy set is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import checked_embeddings
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import BundleError, EncoderFault
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.events.policies import PolicySet
from pipeline.ingest.decode import decode
from pipeline.judge.score import Judge
from pipeline.models.golden import write_golden
from pipeline.policies.load import load_policy_set
from pipeline.probes.golden import Decode, GoldenFile
from pipeline.probes.guarded import GuardedEncoder
from pipeline.probes.probes import GoldenProbes
from pipeline.settings import BUNDLED_MODEL

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class Spoiled:
    """An encoder whose pixels, image embeddings or text embeddings are altered, checked as a server's answers are."""

    def __init__(
        self,
        encoder: LocalEncoder,
        pixels: Callable[[Pixels], Pixels] = lambda pixels: pixels,
        images: Callable[[Vectors], Vectors] = lambda vectors: vectors,
        texts: Callable[[Vectors], Vectors] = lambda vectors: vectors,
    ) -> None:
        self.model_digest, self.logit_scale = encoder.model_digest, encoder.logit_scale
        self._encoder, self._pixels, self._images, self._texts = encoder, pixels, images, texts

    def encode_images(self, images: Pixels) -> Vectors:
        found = self._images(self._encoder.encode_images(np.ascontiguousarray(self._pixels(images))))
        return checked_embeddings(found, (len(images), found.shape[1]), "the encoder")

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        return self._texts(self._encoder.encode_texts(texts))


def decoder(spec: PixelSpec) -> Decode:
    return lambda data: decode(data, spec, ImageLimits()).pixels


def noise(vectors: Vectors) -> Vectors:
    return unit(np.random.default_rng(1).normal(size=vectors.shape))


def half(vectors: Vectors) -> Vectors:
    """Half precision without a scale: what leaves its range is infinite."""
    with np.errstate(over="ignore"):
        return (vectors * 1e6).astype(np.float16).astype(np.float32)


def stale(vectors: Vectors) -> Vectors:
    """An engine of earlier weights: like the model's, and not the same."""
    return unit(vectors + 0.1 * unit(np.random.default_rng(2).normal(size=vectors.shape)))


SPOILED: dict[str, dict[str, Callable[..., object]]] = {
    "channels reversed": {"pixels": lambda pixels: pixels[..., ::-1]},
    "a mean off by six of 255": {"pixels": lambda pixels: np.clip(pixels.astype(int) + 6, 0, 255).astype(np.uint8)},
    "towers swapped": {"images": noise, "texts": noise},
    "a stale engine": {"images": stale},
    "stale texts": {"texts": stale},
    "overflow in half precision": {"images": half},
    "not a number": {"images": lambda vectors: vectors * np.float32("nan")},
    "zeros": {"images": lambda vectors: vectors * 0},
    "noise": {"images": noise},
    "a neighbour's embedding": {"images": lambda vectors: np.roll(vectors, 1, axis=0)},
}


@pytest.fixture(scope="module")
def golden(bundle: Bundle) -> GoldenFile:
    golden = GoldenFile.read(BUNDLED_MODEL, bundle.digest)
    assert golden is not None
    return golden


@pytest.fixture(scope="module")
def active(policies: Path, encoder: LocalEncoder) -> Judge:
    return Judge(build_prompt_bank(load_policy_set(policies), encoder))


def found(golden: GoldenFile, decode: Decode, encoder: Spoiled | LocalEncoder, judge: Judge) -> list[str]:
    """Return the probes that fail; an answer that a worker refuses anyway counts as `refused`."""
    try:
        return [each.probe for each in GoldenProbes(golden, decode, encoder, Random(1)).failures([judge])]
    except EncoderFault:
        return ["refused"]


def test_a_sound_path_passes(golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge) -> None:
    assert found(golden, decoder(bundle.pixels), encoder, active) == []


@pytest.mark.parametrize("fault", SPOILED)
def test_a_fault_of_the_model_is_found(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge, fault: str
) -> None:
    spoiled = Spoiled(encoder, **SPOILED[fault])  # type: ignore[arg-type]  # by name
    assert found(golden, decoder(bundle.pixels), spoiled, active)


@pytest.mark.parametrize(
    "change", [{"mode": "crop"}, {"resample": "bilinear"}, {"resample": "lanczos"}], ids=["crop", "bilinear", "lanczos"]
)
def test_a_fault_of_the_pixels_is_found(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge, change: dict[str, str]
) -> None:
    wrong = replace(bundle.pixels, **change)  # type: ignore[arg-type]  # by name
    assert "image" in found(golden, decoder(wrong), encoder, active)


def test_a_set_without_its_background_is_found(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge
) -> None:
    """Whether the set has lost it, or its vectors alone."""
    policy_set = active.bank.policy_set
    emptied: PolicySet = replace(policy_set, background=replace(policy_set.background, prompts=()))
    lost = replace(build_prompt_bank(emptied, encoder), policy_set=policy_set)
    for bank in (build_prompt_bank(emptied, encoder), lost):
        assert "policy_set" in found(golden, decoder(bundle.pixels), encoder, Judge(bank))


def test_a_set_of_another_models_texts_is_found(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge
) -> None:
    other = replace(active.bank, vectors=stale(active.bank.vectors))
    assert "policy_set" in found(golden, decoder(bundle.pixels), encoder, Judge(other))


def test_a_golden_file_of_another_model_is_refused(golden: GoldenFile, bundle: Bundle, tmp_path: Path) -> None:
    golden.model_copy(update={"model_digest": "0" * 64}).write(tmp_path)
    with pytest.raises(BundleError, match="of another model"):
        GoldenFile.read(tmp_path, bundle.digest)
    (tmp_path / "golden.json").write_text("{}")
    with pytest.raises(BundleError, match="watchword models golden"):
        GoldenFile.read(tmp_path, bundle.digest)
    (tmp_path / "golden.json").unlink()
    assert GoldenFile.read(tmp_path, bundle.digest) is None


def test_the_shipped_golden_file_is_what_the_shipped_model_gives(golden: GoldenFile, tmp_path: Path) -> None:
    for file in BUNDLED_MODEL.iterdir():
        (tmp_path / file.name).symlink_to(file) if file.suffix == ".md" else (tmp_path / file.name).write_bytes(
            file.read_bytes()
        )
    again = write_golden(tmp_path)
    for name, vector in golden.images.items():
        assert np.allclose(vector, again.images[name], atol=1e-4)
    assert np.allclose(golden.texts, again.texts, atol=1e-4)


class Counting:
    """An encoder that counts images, and turns wrong after a number of them."""

    def __init__(self, encoder: Spoiled | LocalEncoder, spoiled: Spoiled, sound_images: int) -> None:
        self.model_digest = encoder.model_digest
        self._encoder, self._spoiled, self._left = encoder, spoiled, sound_images

    def encode_images(self, images: Pixels) -> Vectors:
        self._left -= len(images)
        return (self._encoder if self._left >= 0 else self._spoiled).encode_images(images)


# Answers that are refused for their form, whatever the image.
REFUSED = ("overflow in half precision", "not a number", "zeros")


def encodes(encoder: GuardedEncoder, pixels: Pixels) -> bool:
    try:
        encoder.encode_images(pixels)
    except EncoderFault:
        return False
    return True


@pytest.mark.parametrize("fault", [name for name in SPOILED if name != "stale texts"])
@pytest.mark.parametrize("sound", [0, 40, 130])
def test_fewer_than_a_hundred_images_pass_after_a_model_turns_wrong(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, fault: str, sound: int
) -> None:
    problems: list[str] = []
    spoiled = Spoiled(encoder, **SPOILED[fault])  # type: ignore[arg-type]  # by name
    guarded = GuardedEncoder(
        Counting(encoder, spoiled, sound), golden, decoder(bundle.pixels), Random(3), problems.append
    )
    pixels = np.random.default_rng(4).integers(0, 255, (31, *[bundle.pixels.size] * 2, 3), dtype=np.uint8)
    answered = [len(pixels) for _ in range(12) if encodes(guarded, pixels)]
    assert sound - 31 <= sum(answered) < sound + 100
    assert bool(problems) == (fault not in REFUSED)


def test_a_golden_image_leaves_the_streams_own_embeddings_as_they_are(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder
) -> None:
    passed: list[None] = []
    guarded = GuardedEncoder(
        encoder, golden, decoder(bundle.pixels), Random(5), lambda _: None, lambda: passed.append(None)
    )
    pixels = np.random.default_rng(6).integers(0, 255, (7, *[bundle.pixels.size] * 2, 3), dtype=np.uint8)
    for _ in range(20):
        assert np.allclose(guarded.encode_images(pixels), encoder.encode_images(pixels), atol=1e-5)
    assert len(passed) >= 2


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_small_batch_size_is_kept(
    golden: GoldenFile, bundle: Bundle, encoder: LocalEncoder, active: Judge, batch_size: int
) -> None:
    sizes: list[int] = []

    def noted(pixels: Pixels) -> Pixels:
        sizes.append(len(pixels))
        return pixels

    spoiled = Spoiled(encoder, pixels=noted)
    probes = GoldenProbes(golden, decoder(bundle.pixels), spoiled, Random(1), batch_size)
    assert probes.failures([active]) == []
    assert max(sizes) == batch_size
