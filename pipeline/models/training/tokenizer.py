"""The byte-pair tokenizer of a text tower trained here, fitted on its captions."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PAD, START, END = "<pad>", "<start>", "<end>"


def fit_tokenizer(captions: list[str], *, vocabulary: int, context: int) -> Tokenizer:
    """
    Fit a lower-casing byte-level BPE on `captions`.

    Every byte is in the vocabulary, so that any text can be tokenized. Texts are truncated and padded to `context`
    tokens; the pad id is 0.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(captions)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, tokenizer.token_to_id(START)), (END, tokenizer.token_to_id(END))],
    )
    tokenizer.enable_truncation(context)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(PAD), pad_token=PAD, length=context)
    return tokenizer
