"""A dual encoder as `transformers` loads it, with the facts that its configuration states."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    SiglipModel,
)

from pipeline.bounded import brief, read_regular, why
from pipeline.errors import UsageError
from pipeline.events.images import PixelSpec, Resample
from pipeline.models.quiet import quiet_libraries

SUPPORTED = "CLIP, SigLIP and SigLIP 2 of one fixed resolution"

MOST_NAMED = 3
# Files in which a model's folder may ask for its own code to be run.
_CONFIGURATIONS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
_MOST_CONFIGURATION_BYTES = 64 << 20
_NO_CODE = "it asks for code of its own to be run; Watchword runs no code of models"
# By PIL's numbers, which is how a processor's configuration names them.
_RESAMPLE: dict[int, Resample] = {1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Normalisation:
    """The normalisation of a channel's bytes: `(byte * scale - mean) / std`."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Source:
    """A model with its image processor and tokenizer. `pixels` and `normalisation` are read from `image_processor`."""

    name: str
    model: PreTrainedModel
    image_processor: Any
    tokenizer: PreTrainedTokenizerBase
    pixels: PixelSpec
    normalisation: Normalisation

    @property
    def context(self) -> int:
        """Number of tokens that the text tower reads."""
        return int(self.model.config.text_config.max_position_embeddings)

    @property
    def masks_padding(self) -> bool:
        """True when padding is masked: the tokenizer makes a mask, and attention is bidirectional."""
        return not isinstance(self.model, CLIPModel) and "attention_mask" in self.tokenizer.model_input_names

    @property
    def logit_scale(self) -> float:
        """The factor of similarities in training."""
        return float(self.model.logit_scale.detach().exp())

    @property
    def logit_bias(self) -> float | None:
        """The bias added to them in training; None for a softmax loss, which has none."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else float(bias.detach())


def load_source(name: str, revision: str | None = None) -> Source:
    """Load a model by hub id or folder, in float32. Raises `UsageError` when it is missing or not supported."""
    options = _options(name, revision)
    with quiet_libraries():
        model, loading, image_processor, tokenizer = _loaded(name, options)
    # `transformers` fills missing weights with random numbers, which a comparison with itself cannot notice.
    if missing := sorted(loading["missing_keys"]):
        raise UsageError(
            f"`{name}`: its files lack {len(missing)} of the model's weights, {', '.join(missing[:MOST_NAMED])} "
            "among them; the download or the export that made them was not complete"
        )
    if not isinstance(model, CLIPModel | SiglipModel):
        raise UsageError(f"`{name}` is a {type(model).__name__}; what can be imported is {SUPPORTED}")
    pixels, normalisation = _preprocessing(name, image_processor)
    if pixels.size != model.config.vision_config.image_size:
        raise UsageError(
            f"`{name}`: its processor makes {pixels.size} pixels, its image tower takes "
            f"{model.config.vision_config.image_size}"
        )
    return Source(name, model.eval(), image_processor, tokenizer, pixels, normalisation)


def _options(name: str, revision: str | None) -> dict[str, Any]:
    """Return the loading options of a folder or a hub id. Raises `UsageError` for a path that is missing."""
    # Otherwise `transformers` asks on standard input whether to run a model's code.
    options: dict[str, Any] = {"trust_remote_code": False}
    if Path(name).exists():
        if revision:
            raise UsageError(f"`--revision {revision}` is of a hub id; `{name}` is a folder")
        _require_no_code(Path(name))
        return options
    if name.startswith((".", "/")) or name.count("/") > 1:
        raise UsageError(f"`{name}`: not found")
    return {**options, "revision": revision}


def _loaded(name: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any], Any, Any]:
    """Return the model, its loading information, the image processor and the tokenizer."""
    try:
        model, loading = AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True, **options)
        image_processor = AutoImageProcessor.from_pretrained(name, **options)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except Exception as error:  # the files come from outside and may hold anything
        reason = _NO_CODE if "trust_remote_code" in str(error) else brief(error, 500)
        raise UsageError(f"`{name}` cannot be loaded: {reason}") from error
    return model, loading, image_processor, tokenizer


def _require_no_code(folder: Path) -> None:
    for file in (folder / each for each in _CONFIGURATIONS):
        try:
            said = json.loads(read_regular(file, _MOST_CONFIGURATION_BYTES))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"`{file}` cannot be read: {why(error)}") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"`{file}` is not JSON: {brief(error)}") from error
        if isinstance(said, dict) and said.get("auto_map"):
            raise UsageError(f"`{file}`: {_NO_CODE}")


def _preprocessing(name: str, image_processor: Any) -> tuple[PixelSpec, Normalisation]:
    try:
        return _pixels(name, image_processor), _normalisation(image_processor)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"`{name}`: its image processor does not say how it resizes: {brief(error)}") from error


def _pixels(name: str, processor: Any) -> PixelSpec:
    if processor.resample not in _RESAMPLE:
        raise UsageError(f"`{name}` resizes with filter {processor.resample}; known are {_RESAMPLE}")
    resample = _RESAMPLE[processor.resample]
    short = processor.size.get("shortest_edge")
    if short is None:
        height, width = processor.size["height"], processor.size["width"]
        if height != width or getattr(processor, "do_center_crop", False):
            raise UsageError(f"`{name}` resizes to {height} x {width}; one square is supported")
        return PixelSpec(height, "squash", resample, exact=True)
    crop = processor.crop_size
    if not processor.do_center_crop or (crop["height"], crop["width"]) != (short, short):
        raise UsageError(
            f"`{name}` scales the short side to {short} and crops to {crop}; a crop of that very side is supported"
        )
    return PixelSpec(short, "crop", resample, exact=True)


def _normalisation(processor: Any) -> Normalisation:
    scale = float(processor.rescale_factor) if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return Normalisation(scale, (0.0,) * 3, (1.0,) * 3)
    return Normalisation(scale, tuple(processor.image_mean), tuple(processor.image_std))
