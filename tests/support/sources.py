"""Dual encoders as a hub has them: real architectures with random weights, real tokenizers trained on the spot."""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece  # type: ignore[import-untyped]
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedModel,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from pipeline.models.captions import BUNDLED_TABLE


@dataclass(frozen=True)
class Size:
    """How large an architecture is. `width` and `depth` are of the image tower, then of the text tower."""

    image: int
    patch: int
    width: tuple[int, int]
    depth: tuple[int, int]
    heads: tuple[int, int]
    dimension: int
    clip_vocabulary: int = 49_408
    siglip_vocabulary: int = 32_000
    siglip2_vocabulary: int = 256_000


TINY = Size(64, 16, (96, 64), (2, 2), (3, 2), 48, siglip_vocabulary=1000, siglip2_vocabulary=2000)
CLIP_B32 = Size(224, 32, (768, 512), (12, 12), (12, 8), 512)
CLIP_L14 = Size(224, 14, (1024, 768), (24, 12), (16, 12), 768)
SIGLIP_B16 = Size(224, 16, (768, 768), (12, 12), (12, 12), 768)


def write_clip(folder: Path, size: Size) -> Path:
    config = CLIPConfig(
        text_config={**_tower(size, 1), "vocab_size": size.clip_vocabulary, "max_position_embeddings": 77},
        vision_config={**_tower(size, 0), "image_size": size.image, "patch_size": size.patch},
        projection_dim=size.dimension,
    )
    tokenizer = _clip_tokenizer()
    config.text_config.eos_token_id = tokenizer.eos_token_id
    _save(CLIPModel(config), folder)
    square = {"height": size.image, "width": size.image}
    CLIPImageProcessorPil(size={"shortest_edge": size.image}, crop_size=square).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_siglip(folder: Path, size: Size) -> Path:
    _save(SiglipModel(_siglip_config(size, size.siglip_vocabulary)), folder)
    _siglip_processor(size, resample=3).save_pretrained(folder)
    with tempfile.TemporaryDirectory() as made:
        prefix = Path(made) / "spiece"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_sentences()),
            model_prefix=str(prefix),
            vocab_size=800,
            character_coverage=0.9995,
            pad_id=-1,
            bos_id=-1,
            eos_id=1,
            unk_id=0,
            minloglevel=2,
        )
        SiglipTokenizer(f"{prefix}.model", model_input_names=["input_ids"]).save_pretrained(folder)
    return folder


def write_siglip2(folder: Path, size: Size) -> Path:
    _save(SiglipModel(_siglip_config(size, size.siglip2_vocabulary)), folder)
    _siglip_processor(size, resample=2).save_pretrained(folder)
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    trained.pre_tokenizer = pre_tokenizers.Split(Regex("(?=▁)"), "isolated")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *bytes_]
    trained.train_from_iterator(_sentences(), trainers.BpeTrainer(vocab_size=1500, special_tokens=special))
    vocab, merges = _vocabulary(trained)
    Siglip2Tokenizer(vocab, merges, model_input_names=["input_ids"], padding_side="right").save_pretrained(folder)
    return folder


def _tower(size: Size, which: int) -> dict[str, int]:
    return {
        "hidden_size": size.width[which],
        "intermediate_size": 4 * size.width[which],
        "num_hidden_layers": size.depth[which],
        "num_attention_heads": size.heads[which],
    }


def _siglip_config(size: Size, vocabulary: int) -> SiglipConfig:
    return SiglipConfig(
        text_config={
            **_tower(size, 1),
            "vocab_size": vocabulary,
            "max_position_embeddings": 64,
            "projection_size": size.width[0],
        },
        vision_config={**_tower(size, 0), "image_size": size.image, "patch_size": size.patch},
    )


def _siglip_processor(size: Size, resample: int) -> Any:
    square = {"height": size.image, "width": size.image}
    return SiglipImageProcessorPil(size=square, resample=resample, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def _save(model: PreTrainedModel, folder: Path) -> None:
    """
    Save a model whose embeddings tell inputs apart.

    Fresh weights are small and biases zero, so every input gets nearly one vector; larger ones spread them.
    """
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embedding" not in name:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.5 / fan_in**0.5))
            elif parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            elif name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        model.logit_scale.fill_(3.7)
    model.save_pretrained(folder)


def _clip_tokenizer() -> CLIPTokenizer:
    blank: Any = CLIPTokenizer()
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    trained.normalizer = blank.backend_tokenizer.normalizer
    trained.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    special = ["<|startoftext|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=special, initial_alphabet=alphabet, end_of_word_suffix="</w>"
    )
    trained.train_from_iterator(_sentences(), trainer)
    vocab, merges = _vocabulary(trained)
    return CLIPTokenizer(vocab, merges, model_max_length=77)


def _vocabulary(tokenizer: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def _sentences() -> Iterable[str]:
    """Return the caption table's own lines: real words, many of them rare."""
    return [line.strip(" -:") for line in BUNDLED_TABLE.read_text().splitlines()] * 4
