"""A WordPiece tokenizer with fewer tokens."""

import json

from tokenizers import Tokenizer


def common_tokens(tokenizer: Tokenizer, count: int) -> list[int]:
    """
    Return the ids of the `count` most common tokens that are written in ASCII: ids are in order of frequency.

    Reserved places are left out, special tokens and single characters stay, so that any ASCII text still has tokens.
    """
    by_id = sorted((place, token) for token, place in tokenizer.get_vocab().items())
    spelt = [place for place, token in by_id if token.isascii() and not token.startswith("[unused")]
    return spelt[:count]


def with_tokens(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    """Return a tokenizer that knows the tokens `kept` alone; their ids are their places in it."""
    spec = json.loads(tokenizer.to_str())
    places = {old: new for new, old in enumerate(kept)}
    vocabulary = spec["model"]["vocab"]
    spec["model"]["vocab"] = {token: places[old] for token, old in vocabulary.items() if old in places}
    spec["added_tokens"] = [
        {**token, "id": places[token["id"]]} for token in spec["added_tokens"] if token["id"] in places
    ]
    for token in spec["post_processor"]["special_tokens"].values():
        token["ids"] = [places[old] for old in token["ids"]]
    return Tokenizer.from_str(json.dumps(spec))
