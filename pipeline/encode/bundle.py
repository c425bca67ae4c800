"""A model bundle: a folder with both towers, the tokenizer and a manifest that says how to use them."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import BundleError
from pipeline.events.images import PixelSpec, Resample

MANIFEST = "manifest.json"


class Derivation(BaseModel):
    """
    Which bundle an engine was made from, and how near it came to that bundle's verdicts.

    `cosine_p1`: what the lowest hundredth of cosines to the parent's embeddings reached; `flip_rate`: the share of
    verdicts that changed; both over `images` and the policies of `policy_set`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str
    precision: Literal["fp16", "int8"]
    policy_set: str
    images: int
    cosine_p1: float
    flip_rate: float


class Manifest(BaseModel):
    """
    What a bundle's files are and how they are used.

    `resample` is bicubic and `exact_pixels` false when they are not said (`PixelSpec`); `logit_bias` is what a sigmoid
    loss added to its logits, kept for what turns scores into probabilities. `files` maps each file to the SHA-256 of
    its bytes; the model's digest is the SHA-256 of the manifest's own canonical JSON, so it names weights,
    preprocessing and tokenizer together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    image_size: int = Field(gt=0)
    resize: Literal["squash", "crop"]
    resample: Resample | None = None
    exact_pixels: bool | None = None
    dimension: int = Field(gt=0)
    context: int = Field(gt=0)
    logit_scale: float = Field(gt=0)
    logit_bias: float | None = None
    image_tower: str = "image.onnx"
    text_tower: str = "text.onnx"
    tokenizer: str = "tokenizer.json"
    files: dict[str, str]
    derived: Derivation | None = None

    @property
    def digest(self) -> str:
        """The model digest, hexadecimal."""
        canonical = json.dumps(self._fields(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest of the bundle in `folder`."""
        (folder / MANIFEST).write_text(json.dumps(self._fields(), indent=2) + "\n")

    def _fields(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class Bundle:
    """A bundle on disk whose files were checked against its manifest."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.digest = manifest.digest

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and verify a bundle. Raises `BundleError` when it is missing, malformed or damaged."""
        path = folder / MANIFEST
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise BundleError(f"`{path}`: not found; a model bundle is a folder with a {MANIFEST}") from error
        except ValidationError as error:
            raise BundleError(f"`{path}`: {error}") from error
        for file, digest in manifest.files.items():
            check_file(folder / file, digest)
        return cls(folder, manifest)

    @property
    def lineage(self) -> frozenset[str]:
        """The digests a threshold for this model may name: its own, and that of the bundle it is an engine of."""
        derived = self.manifest.derived
        return frozenset({self.digest} if derived is None else {self.digest, derived.parent})

    @property
    def image_tower(self) -> Path:
        """The image tower's ONNX file."""
        return self.folder / self.manifest.image_tower

    @property
    def text_tower(self) -> Path:
        """The text tower's ONNX file."""
        return self.folder / self.manifest.text_tower

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's JSON file."""
        return self.folder / self.manifest.tokenizer

    @property
    def pixels(self) -> PixelSpec:
        """What the image tower takes."""
        manifest = self.manifest
        return PixelSpec(
            manifest.image_size,
            manifest.resize,
            resample=manifest.resample or "bicubic",
            exact=bool(manifest.exact_pixels),
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_file(path: Path, digest: str) -> None:
    """Raise `BundleError` unless the file is there and has this SHA-256."""
    if not path.exists():
        raise BundleError(f"`{path}`: not found, but the manifest lists it; get the bundle again")
    found = file_digest(path)
    if found != digest:
        raise BundleError(
            f"`{path}`: its SHA-256 is {found[:12]}…, the manifest says {digest[:12]}…; get the bundle again"
        )
