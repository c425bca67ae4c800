"""One contract, two encoders: in this process, and behind the real Triton."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.ports import ImageEncoder, TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.encode.triton import TritonEncoder
from pipeline.errors import EncoderFault
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from tests.support.stream import REPOSITORY, Stack

pytestmark = pytest.mark.integration


class Encoder(ImageEncoder, TextEncoder, Protocol):
    """Both towers."""


def behind_triton(bundle: Bundle, url: str, shared_memory: str, errors: list[str] | None = None) -> TritonEncoder:
    return TritonEncoder(
        bundle,
        url,
        timeout_s=10,
        batch_size=32,
        slots=2,
        shared_memory=shared_memory,
        on_error=(errors if errors is not None else []).append,
    )


@pytest.fixture(params=["local", "triton over shared memory", "triton over gRPC"])
def either(request: pytest.FixtureRequest, bundle: Bundle, stack: Stack) -> Iterator[Encoder]:
    if request.param == "local":
        yield LocalEncoder(bundle, threads=1)
        return
    encoder = behind_triton(bundle, stack.triton_url, "on" if "shared" in request.param else "off")
    encoder.check()
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def pixels(samples: Path, bundle: Bundle) -> NDArray[np.uint8]:
    files = sorted((samples / "images").rglob("*.jpg"))[::20][:64]
    return np.stack([decode(file.read_bytes(), bundle.pixels, ImageLimits()).pixels for file in files])


def test_embeddings_are_unit_length_float32(either: Encoder, pixels: NDArray[np.uint8], bundle: Bundle) -> None:
    images, texts = either.encode_images(pixels[:8]), either.encode_texts(["a cat", "a photo of a watch", ""])
    for embeds, count in ((images, 8), (texts, 3)):
        assert embeds.shape == (count, bundle.manifest.dimension)
        assert embeds.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embeds, axis=1), 1.0, atol=1e-5)


def test_an_image_has_one_embedding_and_one_verdict_in_any_company(
    either: Encoder, pixels: NDArray[np.uint8], policies: Path, encoder: LocalEncoder
) -> None:
    """Batches of 1, 8 and 32, shuffled: within 1e-5, verdicts identical."""
    judge = Judge(build_prompt_bank(load_policy_set(policies), encoder))
    alone = np.concatenate([either.encode_images(pixels[i : i + 1]) for i in range(len(pixels))])
    verdicts = judge.judge(alone.astype(np.float16)).flagged
    for size in (8, 32):
        order = np.random.default_rng(size).permutation(len(pixels))
        together = np.concatenate(
            [either.encode_images(pixels[order[i : i + size]]) for i in range(0, len(order), size)]
        )
        np.testing.assert_allclose(together, alone[order], atol=1e-5)
        np.testing.assert_array_equal(judge.judge(together.astype(np.float16)).flagged, verdicts[order])


def test_every_encoder_computes_the_same(either: Encoder, pixels: NDArray[np.uint8], encoder: LocalEncoder) -> None:
    np.testing.assert_allclose(either.encode_images(pixels[:32]), encoder.encode_images(pixels[:32]), atol=1e-5)
    texts = ["a revolver", "a photo of a leopard", "something nobody has ever written before, at length " * 9]
    np.testing.assert_allclose(either.encode_texts(texts), encoder.encode_texts(texts), atol=1e-5)


def test_a_server_that_is_not_there_is_a_fault_to_try_again(bundle: Bundle, pixels: NDArray[np.uint8]) -> None:
    errors: list[str] = []
    encoder = behind_triton(bundle, "127.0.0.1:9", "auto", errors)
    with pytest.raises(EncoderFault):
        encoder.check()
    with pytest.raises(EncoderFault):
        encoder.encode_images(pixels[:1])
    assert set(errors) == {"unavailable"}
    encoder.close()


def test_a_server_with_another_model_is_refused(bundle: Bundle, stack: Stack) -> None:
    other = Bundle(bundle.folder, bundle.manifest.model_copy(update={"name": "other"}))
    encoder = behind_triton(other, stack.triton_url, "off")
    with pytest.raises(EncoderFault, match="point both at one bundle"):
        encoder.check()
    encoder.close()


@pytest.mark.parametrize("shared_memory", ["on", "off"])
def test_a_server_with_another_model_has_no_answer(
    bundle: Bundle, stack: Stack, pixels: NDArray[np.uint8], shared_memory: str
) -> None:
    """Requests name the version that the digest gives, so that even an encoder that never checked is refused."""
    other = Bundle(bundle.folder, bundle.manifest.model_copy(update={"name": "other"}))
    encoder = behind_triton(other, stack.triton_url, shared_memory)
    with pytest.raises(EncoderFault, match="version"):
        encoder.encode_images(pixels[:2])
    assert not encoder.answering
    encoder.close()


def test_two_encoders_on_one_server_never_see_each_others_images(
    bundle: Bundle, stack: Stack, pixels: NDArray[np.uint8]
) -> None:
    """Regions have names of their own, so one that ends while the other works takes nothing away."""
    first, second = behind_triton(bundle, stack.triton_url, "on"), behind_triton(bundle, stack.triton_url, "on")
    wanted = first.encode_images(pixels[:4])
    second.encode_images(pixels[8:12])
    np.testing.assert_array_equal(first.encode_images(pixels[:4]), wanted)
    second.close()
    np.testing.assert_array_equal(first.encode_images(pixels[:4]), wanted)
    first.close()


def test_regions_of_a_worker_that_was_killed_are_freed_and_those_of_the_living_are_not(
    bundle: Bundle, stack: Stack, pixels: NDArray[np.uint8]
) -> None:
    living = behind_triton(bundle, stack.triton_url, "on")
    living.encode_images(pixels[:1])
    living.free_abandoned_regions()  # those that workers of earlier tests left when they were killed
    command = [sys.executable, "-m", "tests.support.killed_encoder", stack.triton_url]
    killed = subprocess.run(command, cwd=REPOSITORY, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert living.free_abandoned_regions() == 2
    assert living.free_abandoned_regions() == 0
    wanted = living.encode_images(pixels[:1])
    assert np.isfinite(wanted).all()
    living.close()


def test_no_shared_memory_is_left_behind(bundle: Bundle, stack: Stack, pixels: NDArray[np.uint8]) -> None:
    """The name is gone as soon as the server has mapped it, so even a killed worker leaves nothing."""
    before = set(Path("/dev/shm").iterdir())
    encoder = behind_triton(bundle, stack.triton_url, "on")
    encoder.encode_images(pixels[:4])
    assert {path for path in set(Path("/dev/shm").iterdir()) - before if path.name.startswith("psm_")} == set()
    encoder.close()
