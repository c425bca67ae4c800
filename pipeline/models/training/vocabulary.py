"""A WordPiece tokenizer with fewer tokens."""

import json

from tokenizers import Tokenizer


def common_tokens(tokenizer: Tokenizer, count: int) -> list[int]:
    """
    Return the ids of the `count` most common ASCII tokens; WordPiece ids are in order of frequency.

    Reserved tokens are left out. Special tokens and single characters stay, so that any ASCII text still has tokens.
    """
    by_id = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    spelt = [number for number, token in by_id if token.isascii() and not token.startswith("[unused")]
    return spelt[:count]


def with_tokens(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    """Return a tokenizer that knows only the tokens `kept`; their new ids are their indices in `kept`."""
    spec = json.loads(tokenizer.to_str())
    new_ids = {old: new for new, old in enumerate(kept)}
    vocabulary = spec["model"]["vocab"]
    spec["model"]["vocab"] = {token: new_ids[old] for token, old in vocabulary.items() if old in new_ids}
    spec["added_tokens"] = [
        {**token, "id": new_ids[token["id"]]} for token in spec["added_tokens"] if token["id"] in new_ids
    ]
    for token in spec["post_processor"]["special_tokens"].values():
        token["ids"] = [new_ids[old] for old in token["ids"]]
    return Tokenizer.from_str(json.dumps(spec))
