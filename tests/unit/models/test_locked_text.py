"""Training towards a sentence encoder: its space, captions in it, the image tower's loss."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.models.captions import BUNDLED_PARAPHRASES, BUNDLED_TABLE, Captions
from pipeline.models.training.dual_encoder import DualEncoder
from pipeline.models.training.language import TextTower
from pipeline.models.training.objective import LockedTextObjective
from pipeline.models.training.phrases import draw_phrases
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.remove_common_direction import remove_common_direction
from pipeline.models.training.teacher import SentenceEncoder
from pipeline.models.training.text_bank import TextBank
from pipeline.models.training.text_space import TextSpace
from pipeline.models.training.vision import ImageTower

EMPTY_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "at",
        "by",
        "for",
        "from",
        "with",
        "to",
        "and",
        "or",
        "is",
        "are",
        "that",
        "there",
        "this",
        "one",
        "it",
        "its",
    ]
)
WORDS = [f"{a}{b}{c}" for a in "bcdfgh" for b in "aeiou" for c in "lmnrst"]


class BagOfWords(SentenceEncoder):
    """Replaces the sentence encoder: the sum of a fixed random vector for each word."""

    def __init__(self) -> None:
        vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *WORDS, "thing", "photo"])}
        self.tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        self._vectors = np.random.default_rng(1).standard_normal((len(vocabulary), 32)).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        sums = [self._vectors[encoding.ids].sum(axis=0) for encoding in self.tokenizer.encode_batch(list(texts))]
        return np.asarray(np.stack(sums) / np.linalg.norm(sums, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def table(tmp_path: Path) -> Captions:
    path = tmp_path / "table.yaml"
    path.write_text(
        "categories: {bal: [bal, bal thing], cel: [cel], dir: [dir]}\ngroups: {thing: [bal, cel]}\n"
        "templates: ['{}', 'photo {}']\n"
    )
    return Captions.load(path)


def content_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower().replace("'s", ""))) - EMPTY_WORDS


def test_no_paraphrase_shares_a_content_word_with_a_training_caption() -> None:
    captions = Captions.load(BUNDLED_TABLE)
    known = set().union(*(content_words(caption) for caption in captions.every()))
    paraphrases = YAML(typ="safe").load(BUNDLED_PARAPHRASES)
    assert sum(len(texts) for texts in paraphrases.values()) >= 50
    assert paraphrases.keys() <= set(captions.categories)
    for texts in paraphrases.values():
        for text in texts:
            assert not content_words(text) & known, text


def test_the_space_is_centred_and_its_vectors_are_unit_length() -> None:
    rng = np.random.default_rng(2)
    vectors = (rng.standard_normal((500, 16)) * np.linspace(3, 0.1, 16) + 5).astype(np.float32)
    space = TextSpace.fit(vectors, 8)
    projected = space.project(vectors)
    np.testing.assert_allclose(np.linalg.norm(projected, axis=1), 1, rtol=1e-5)
    assert np.abs(projected.mean(axis=0)).max() < 0.1


def test_the_direction_that_captions_share_does_not_rank_photographs() -> None:
    """No embedding has a component in the shared direction; orthogonal components do not change."""
    torch.manual_seed(1)
    model = DualEncoder(ImageTower(16, 0.0), TextTower(30, 16, context=8, pad_id=0)).eval()
    shared = np.eye(16, dtype=np.float32)[3]
    captions = np.random.default_rng(2).standard_normal((40, 16)).astype(np.float32) * (1 - shared) + 4 * shared
    shared = captions.mean(axis=0) / np.linalg.norm(captions.mean(axis=0))
    images, input_ids = torch.randn(5, 3, 32, 32), torch.randint(1, 30, (5, 8))
    before = [tower(given).detach().numpy() for tower, given in ((model.image, images), (model.text, input_ids))]
    remove_common_direction(model, captions)
    after = [tower(given).detach().numpy() for tower, given in ((model.image, images), (model.text, input_ids))]
    for was, now in zip(before, after, strict=True):
        assert np.abs(was @ shared).max() > 5e-4
        np.testing.assert_allclose(now @ shared, 0, atol=1e-6)
        np.testing.assert_allclose(now, was - np.outer(was @ shared, shared), atol=1e-6)


def test_phrases_are_distinct_and_reproducible() -> None:
    vocabulary = {word: place for place, word in enumerate(["[PAD]", "##ing", "of", *WORDS])}
    phrases = draw_phrases(vocabulary, [], 400, seed=3)
    assert len(phrases) == len(set(phrases)) == 400
    assert phrases == draw_phrases(vocabulary, [], 400, seed=3)
    assert not any("#" in phrase or "[" in phrase for phrase in phrases)


def test_a_bank_has_the_categories_of_each_caption(table: Captions) -> None:
    """A name belongs to one category; a group's caption belongs to several, with a lower weight for each."""
    bank = TextBank.build(table, BagOfWords().embed)
    assert bank.vectors.shape == (2, 5, 32)
    np.testing.assert_allclose(bank.owners[:, :4], [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert 0 < bank.owners[0, 4] == bank.owners[1, 4] < 1
    assert bank.owners[2, 4] == 0
    np.testing.assert_allclose(np.linalg.norm(bank.plain, axis=1), 1, rtol=1e-5)


def test_the_locked_loss_is_lowest_for_images_at_their_texts(table: Captions) -> None:
    bank = TextBank.build(table, BagOfWords().embed)
    objective = LockedTextObjective(ImageTower(32, 0.0), bank, ImageRecipe(dimension=32), seed=1)
    matches = torch.eye(3)
    right = objective._loss(torch.from_numpy(bank.centres), matches)
    wrong = objective._loss(torch.from_numpy(bank.centres[[1, 2, 0]]), matches)
    assert right.item() < wrong.item()


def test_only_the_image_tower_learns_from_locked_texts(table: Captions) -> None:
    bank = TextBank.build(table, BagOfWords().embed)
    objective = LockedTextObjective(ImageTower(32, 0.0), bank, ImageRecipe(dimension=32), seed=1)
    names = {name.split(".")[0] for name, _ in objective.named_parameters()}
    assert names == {"image", "log_scale"}
    assert not {"vectors", "owners", "plain", "centres"} & objective.state_dict().keys()
