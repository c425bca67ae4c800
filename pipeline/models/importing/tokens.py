"""Conversion of a source's tokenizer to one file for the `tokenizers` library."""

import string
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from transformers import SiglipTokenizer
from transformers.convert_slow_tokenizer import SpmConverter

from pipeline.errors import UsageError
from pipeline.models.importing.source import Source


def worker_tokenizer(source: Source) -> Tokenizer:
    """Return the source's tokenizer, truncating and padding to the context as the source's own does."""
    ours = _own(source)
    tokenizer = source.tokenizer
    if tokenizer.pad_token_id is None:
        raise UsageError(f"`{source.name}`: its tokenizer has no padding token")
    ours.enable_truncation(source.context)
    ours.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
        length=source.context,
    )
    return ours


def _own(source: Source) -> Tokenizer:
    tokenizer: Any = source.tokenizer
    if isinstance(tokenizer, SiglipTokenizer):
        return _from_sentence_pieces(tokenizer)
    if tokenizer.is_fast:
        # A copy, since the padding of this one will be changed.
        return Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    raise UsageError(f"`{source.name}`: a {type(tokenizer).__name__} has no form that `tokenizers` can run")


def _from_sentence_pieces(tokenizer: SiglipTokenizer) -> Tokenizer:
    """
    Convert SigLIP's tokenizer, which changes the text in Python before SentencePiece sees it.

    It lower-cases the text, removes punctuation, joins white space and strips it at both ends (`canonicalize_text`).
    """
    ours: Tokenizer = _SiglipConverter(tokenizer).converted()
    punctuation = Regex("[" + "".join(f"\\{mark}" for mark in string.punctuation) + "]")
    canonical: list[normalizers.Normalizer] = [normalizers.Lowercase()] if tokenizer.do_lower_case else []
    canonical += [
        normalizers.Replace(punctuation, ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    ours.normalizer = normalizers.Sequence([*canonical, ours.normalizer])
    ours.add_special_tokens(list(tokenizer.added_tokens_decoder.values()))
    return ours


class _SiglipConverter(SpmConverter):  # type: ignore[misc]  # untyped
    def pre_tokenizer(self, replacement: str, add_prefix_space: bool) -> Any:  # noqa: ARG002, FBT001 -- its signature
        return pre_tokenizers.Metaspace(replacement=replacement, prepend_scheme="always", split=True)

    def post_processor(self) -> Any:
        end = self.original_tokenizer.eos_token
        return processors.TemplateProcessing(
            single=["$A", end], special_tokens=[(end, self.original_tokenizer.eos_token_id)]
        )
