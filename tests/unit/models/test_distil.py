"""A text tower cut from a sentence encoder and distilled from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional
from transformers import BertConfig, BertModel

from pipeline.errors import UsageError
from pipeline.models.captions import Captions
from pipeline.models.training.distil import PhraseBatches, Phrases, distil_text_tower
from pipeline.models.training.recipe import Schedule, TextRecipe
from pipeline.models.training.sentence_space import SentenceSpace
from pipeline.models.training.sentence_tower import SentenceTower, cut_tower
from pipeline.models.training.teacher import SentenceEncoder
from pipeline.models.training.train import Rank
from pipeline.models.training.vocabulary import common_tokens, with_tokens
from pipeline.models.training.wordnet import read_entries

WORDS = [f"{a}{b}{c}" for a in "bcdfgh" for b in "aeiou" for c in "lmnrst"]
SPECIAL = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]"]
PHRASES = ["bal ces dir", "fol gun", "a small hat hal", "gus"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """A BERT with random weights and a WordPiece tokenizer, as `transformers` and `tokenizers` save them."""
    folder = tmp_path_factory.mktemp("teacher")
    tokens = [*SPECIAL, *"abcdefghilmnorstu", *(f"##{letter}" for letter in "abcdefghilmnorstu"), "火", *WORDS]
    tokenizer = Tokenizer(models.WordPiece({token: place for place, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", tokens.index("[CLS]")), ("[SEP]", tokens.index("[SEP]"))]
    )
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return SentenceEncoder(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Captions:
    path = tmp_path_factory.mktemp("table") / "table.yaml"
    path.write_text("categories: {bal: [bal], cel: [cel]}\ngroups: {gum: [bal, cel]}\ntemplates: ['{}', 'hot {}']\n")
    return Captions.load(path)


@pytest.fixture(scope="module")
def space(teacher: SentenceEncoder, table: Captions) -> SentenceSpace:
    return SentenceSpace.fit(teacher, [], table, 16)


def nearness(tower: SentenceTower, tokenizer: Tokenizer, space: SentenceSpace) -> float:
    """Return the lowest cosine between the tower's and the encoder's vectors of a few phrases."""
    tokenizer.enable_padding()
    input_ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(PHRASES)])
    with torch.no_grad():
        embeds = functional.normalize(tower.eval()(input_ids), dim=-1)
    return float((embeds * torch.from_numpy(space.embed(PHRASES))).sum(1).min())


def test_a_tower_with_all_parts_computes_the_same_as_the_encoder(space: SentenceSpace) -> None:
    everything = list(range(space.teacher.tokenizer.get_vocab_size()))
    tower = cut_tower(space, everything, layers=(0, 1, 2), embedding=48, context=16)
    assert nearness(tower, with_tokens(space.teacher.tokenizer, everything), space) > 0.9999


def test_left_out_tokens_are_spelt_with_others(teacher: SentenceEncoder) -> None:
    """The kept tokens are ASCII, the most common first; an id is an index among the kept tokens."""
    kept = common_tokens(teacher.tokenizer, 60)
    smaller = with_tokens(teacher.tokenizer, kept)
    assert smaller.get_vocab_size() == 60
    assert smaller.token_to_id("[PAD]") == 0
    assert smaller.token_to_id("火") is None
    assert smaller.token_to_id("[unused0]") is None
    left_out = WORDS[-1]
    assert smaller.encode(left_out).tokens == ["[CLS]", left_out[0], f"##{left_out[1]}", f"##{left_out[2]}", "[SEP]"]
    theirs = teacher.tokenizer.encode(f"a {WORDS[0]}")
    ours = smaller.encode(f"a {WORDS[0]}")
    assert [kept[place] for place in ours.ids] == theirs.ids[: len(ours.ids)]


@pytest.mark.slow
def test_a_distilled_tower_comes_near_the_encoder_on_phrases_it_never_saw(
    tmp_path: Path, space: SentenceSpace, table: Captions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is much nearer than after the cut. An interrupted run continues from its state and with its phrases."""
    schedule = Schedule(minutes=0.25, ranks=1, batch=64, learning_rate=3e-3)
    recipe = TextRecipe(schedule=schedule, phrases=2000, vocabulary=220, embedding=24, layers=(0, 2), context=12)
    kept = common_tokens(space.teacher.tokenizer, recipe.vocabulary)
    cut = cut_tower(space, kept, layers=recipe.layers, embedding=recipe.embedding, context=recipe.context)
    before = nearness(cut, with_tokens(space.teacher.tokenizer, kept), space)
    tower, tokenizer = distil_text_tower(space, [], table, recipe, tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.delattr(SentenceSpace, "embed")
        again, _ = distil_text_tower(space, [], table, recipe, tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="a run with other data, captions or settings"):
        distil_text_tower(space, ["a word more"], table, recipe, tmp_path / "run", resume=True)
    after = nearness(tower, tokenizer, space)
    # How near depends on how many steps a machine makes in the time; chance would be nearness 0.
    assert after > before + 0.5 > 0
    assert nearness(again, tokenizer, space) == pytest.approx(after, abs=0.05)


def test_a_batch_of_phrases_is_cut_to_its_longest() -> None:
    input_ids = np.zeros((64, 12), dtype=np.int64)
    for place in range(64):
        input_ids[place, : 1 + place // 8] = 7
    vectors = np.eye(64, dtype=np.float32)
    drawn, targets = PhraseBatches(Phrases(input_ids, vectors), 8, Rank(0, 1, 5)).draw(0.0)
    assert drawn.shape[0] == targets.shape[0] == 8
    assert bool((drawn != 0).any(0).all())


def test_a_dictionary_gives_names_and_short_definitions_of_visible_things(tmp_path: Path) -> None:
    """They are read in WordNet's format, which has an indented licence above the entries."""
    nouns = tmp_path / "data.noun"
    nouns.write_text(
        "  1 This software and database is being provided to you\n"
        "00001740 05 n 02 big_cat 0 cat 1 001 @ 00001930 n 0000 | any of several large cats (usually wild); can roar; "
        '"a big cat in a zoo"  \n'
        "00001930 07 n 01 honesty 0 000 | what cannot be seen  \n"
        f"00002137 06 n 01 mug 0 000 | {'long ' * 30}  \n"
    )
    assert list(read_entries(nouns)) == ["big cat", "cat", "any of several large cats", "can roar", "mug"]
