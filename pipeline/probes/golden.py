"""Golden files: the known embeddings and scores of the golden images and texts, for one model."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounded import brief, read_regular
from pipeline.encode.ports import ImageEncoder, TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import BundleError
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.visible import one_line

# Beside a bundle's manifest. It is no part of the model, so the model's digest does not name it.
GOLDEN_FILE = "golden.json"
MOST_BYTES = 16 << 20

_FOLDER = Path(__file__).parent
_DECIMALS = 6

Vector = Annotated[list[float], Field(min_length=1)]
Decode = Callable[[bytes], NDArray[np.uint8]]


class Encoder(ImageEncoder, TextEncoder, Protocol):
    """Both towers of one model."""


class GoldenFile(BaseModel):
    """
    Known results of one model.

    `images` has a unit vector for each golden image, `texts` the rows of the prompt bank of the golden policies, and
    `scores` for each image its raw score by each golden policy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_digest: str
    images: dict[str, Vector]
    texts: list[Vector]
    scores: dict[str, Vector]

    @classmethod
    def read(cls, folder: Path, model_digest: str) -> Self | None:
        """Return the golden file of a bundle, None if it has none. Raises `BundleError`."""
        path = folder / GOLDEN_FILE
        try:
            golden = cls.model_validate_json(read_regular(path, MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise BundleError(f"`{one_line(path)}`: no golden file: {brief(str(error))}; {_MAKE}") from error
        if golden.model_digest != model_digest:
            raise BundleError(
                f"`{one_line(path)}`: of another model, {golden.model_digest[:12]}…, not {model_digest[:12]}…; {_MAKE}"
            )
        return golden

    def write(self, folder: Path) -> None:
        """Write the golden file of the bundle in `folder`."""
        (folder / GOLDEN_FILE).write_text(self.model_dump_json() + "\n")


_MAKE = "make it with `watchword models golden BUNDLE`"


def golden_images() -> Mapping[str, bytes]:
    """Return the golden images by name: photographs that small changes of colour, size or filter move far."""
    return {path.stem: path.read_bytes() for path in sorted((_FOLDER / "images").glob("*.jpg"))}


def golden_policies() -> PolicySet:
    """Return the golden policies, whose scores for the golden images are known. They never judge a stream."""
    return load_policy_set(_FOLDER / "policies")


def measure_golden(decode: Decode, encoder: Encoder) -> GoldenFile:
    """Return the golden file of an encoder's model; `decode` maps an image's bytes to uint8 [H, W, 3]."""
    images = golden_images()
    embeddings = encoder.encode_images(np.stack([decode(data) for data in images.values()]))
    bank = build_prompt_bank(golden_policies(), encoder)
    scores = Judge(bank).judge(embeddings.astype(np.float16)).raw
    return GoldenFile(
        model_digest=encoder.model_digest,
        images=dict(zip(images, _rows(embeddings), strict=True)),
        texts=_rows(bank.vectors),
        scores=dict(zip(images, _rows(scores), strict=True)),
    )


def _rows(values: NDArray[np.floating]) -> Sequence[list[float]]:
    found: list[list[float]] = np.round(values.astype(np.float64), _DECIMALS).tolist()
    return found
