"""Phrases of many kinds, for fitting a text space and distilling a text tower."""

import random
from collections.abc import Iterator, Sequence

from pipeline.models.captions import with_article

# Frames in which people put words when they describe a picture or a rule.
FRAMES = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a picture of {}",
    "the {}",
    "{} and {}",
    "{} with {}",
    "a {} next to a {}",
    "{} on a {}",
    "people with a {}",
    "a {} {}",
    "a {} {} in the {}",
    "someone holding a {}",
    "{} for sale",
    "a drawing of a {}",
    "an advertisement for {}",
    "a close-up of a {}",
    "{} {}",
    "a small {} {}",
    "an old {}",
    # Longer frames: a tower that saw at most three words underestimates a sentence.
    "{} {} {}",
    "{} for {} {}",
    "{} used for {}",
    "{} that {} {}",
    "{} of {} and {}",
    "a {} {} with {} {}",
    "{} in the {} of the {}",
    "{} made of {}",
    "{} from {}",
    "{} by the {}",
    "{} {} {} {}",
    "a {} {} {} on a {}",
    "{} to {} the {}",
    "{} {} at {} {}",
)
SHORTEST_WORD = 3


def words_of(vocabulary: dict[str, int]) -> list[str]:
    """Return the whole words of a WordPiece vocabulary, most common first: its ids are in order of frequency."""
    whole = (word for word, _ in sorted(vocabulary.items(), key=lambda entry: entry[1]))
    return [word for word in whole if word.isascii() and word.isalpha() and len(word) >= SHORTEST_WORD]


def draw_phrases(vocabulary: dict[str, int], entries: Sequence[str], count: int, seed: int) -> list[str]:
    """
    Return `count` different phrases, up to half of them from the `entries` of a dictionary.

    The others are single words of the vocabulary, then frames filled with random words.
    """
    words, rng = words_of(vocabulary), random.Random(seed)  # noqa: S311 -- phrases are no secret
    drawn = rng.sample(entries, min(len(entries), count // 2))
    phrases = dict.fromkeys([*drawn, *words[: count - len(drawn)]])
    for phrase in _framed(words, rng):
        if len(phrases) >= count:
            break
        phrases[phrase] = None
    return list(phrases)


def _framed(words: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        frame = rng.choice(FRAMES)
        # Common words more often than rare ones, as in people's texts.
        drawn = [words[int(len(words) * rng.random() ** 1.5)] for _ in range(frame.count("{}"))]
        yield with_article(frame.format(*drawn))
