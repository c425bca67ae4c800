"""Model bundle: a folder with both towers, the tokenizer, and a manifest of how they are used."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipeline.bounded import brief, json_values, open_regular, read_regular, why
from pipeline.encode.external_data import external_files
from pipeline.errors import BundleError
from pipeline.events.images import PixelSpec, Resample
from pipeline.visible import one_line

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 256 << 10
MOST_MANIFEST_VALUES = 1_000
MOST_FILES = 64
_MOST_TOLD = 5
# The largest published CLIP is a third of this.
MOST_FILE_BYTES = 32 << 30
_BLOCK_BYTES = 1 << 20


def _plain_name(name: str) -> str:
    """Return the name if it is a plain file name, so that it refers to a file in the bundle's folder."""
    if name in (".", "..", MANIFEST) or "/" in name or "\\" in name or one_line(name) != name:
        raise ValueError("a bundle's files are named by plain file names, in its own folder")
    return name


FileName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_plain_name)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Derivation(BaseModel):
    """
    The bundle that an engine was made from, and the engine's agreement with it.

    `cosine_p1`: first percentile of the cosines between the two models' embeddings; `flip_rate`: the share of verdicts
    that changed. Both were measured on `images` images and with the policies of `policy_set`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: Digest
    precision: Literal["fp16", "int8"]
    policy_set: Annotated[str, Field(max_length=64)]
    images: int = Field(ge=0)
    cosine_p1: Finite
    flip_rate: Finite


class Manifest(BaseModel):
    """
    The files of a bundle and their use.

    `resample` defaults to bicubic and `exact_pixels` to false (`PixelSpec`). `logit_bias` is the bias that a sigmoid
    loss adds to logits; code that turns scores into probabilities needs it. `files` maps each file to the SHA-256 of
    its bytes. The model's digest is the SHA-256 of the manifest's canonical JSON, so it names weights, preprocessing
    and tokenizer together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=500)]
    image_size: int = Field(gt=0, le=1 << 13)
    resize: Literal["squash", "crop"]
    resample: Resample | None = None
    exact_pixels: bool | None = None
    dimension: int = Field(gt=0, le=1 << 16)
    context: int = Field(gt=0, le=1 << 16)
    logit_scale: float = Field(gt=0, le=1e4, allow_inf_nan=False)
    logit_bias: Finite | None = None
    image_tower: FileName = "image.onnx"
    text_tower: FileName = "text.onnx"
    tokenizer: FileName = "tokenizer.json"
    files: dict[FileName, Digest] = Field(max_length=MOST_FILES)
    derived: Derivation | None = None

    @model_validator(mode="after")
    def _binds_what_is_used(self) -> Self:
        for name in (self.image_tower, self.text_tower, self.tokenizer):
            if name not in self.files:
                raise ValueError(f"`{name}` is not in `files`, so the digest would not name it")
        return self

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
    """A bundle on disk, with its files checked against its manifest."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.digest = manifest.digest

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and verify a bundle. Raises `BundleError` when it is missing, malformed or damaged."""
        manifest = _read_manifest(folder / MANIFEST)
        for file, digest in manifest.files.items():
            check_file(folder / file, digest)
        for tower in (manifest.image_tower, manifest.text_tower):
            if unlisted := external_files(folder / tower) - manifest.files.keys():
                raise BundleError(
                    f"`{one_line(folder / tower)}`: its weights are in `{brief(min(unlisted))}`, "
                    "which the manifest does not list; get the bundle again"
                )
        return cls(folder, manifest)

    @property
    def lineage(self) -> frozenset[str]:
        """Digests that a threshold for this model may name: the model's, and its parent's if the model is an engine."""
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
        """The input of the image tower."""
        manifest = self.manifest
        return PixelSpec(
            manifest.image_size,
            manifest.resize,
            resample=manifest.resample or "bicubic",
            exact=bool(manifest.exact_pixels),
        )


def check_file(path: Path, digest: str) -> None:
    """Raise `BundleError` unless `path` is a regular file with this SHA-256, and no link out of its folder."""
    name = one_line(path)
    try:
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise BundleError(f"`{name}`: a link out of the bundle; copy the file into it")
        found = _bounded_digest(path)
    except FileNotFoundError as error:
        raise BundleError(f"`{name}`: not found, but the manifest lists it; get the bundle again") from error
    except OSError as error:
        raise BundleError(f"`{name}`: cannot be read: {why(error)}; get the bundle again") from error
    except RuntimeError as error:
        raise BundleError(f"`{name}`: a link in a circle; get the bundle again") from error
    if found != digest:
        raise BundleError(f"`{name}`: its SHA-256 is not the manifest's, {digest[:12]}…; get the bundle again")


def _bounded_digest(path: Path) -> str:
    digest, left = hashlib.sha256(), MOST_FILE_BYTES
    with open_regular(path, MOST_FILE_BYTES) as content:
        while (block := content.read(_BLOCK_BYTES)) and left > 0:
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _read_manifest(path: Path) -> Manifest:
    name = one_line(path)
    try:
        data = read_regular(path, MOST_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise BundleError(f"`{name}`: not found; a model bundle is a folder with a {MANIFEST}") from error
    except OSError as error:
        raise BundleError(f"`{name}`: cannot be read: {why(error)}") from error
    if json_values(data) > MOST_MANIFEST_VALUES:
        raise BundleError(f"`{name}`: more than {MOST_MANIFEST_VALUES:,} values")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:_MOST_TOLD]
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in details)
        raise BundleError(f"`{name}`: {brief(problems, 500)}") from error
