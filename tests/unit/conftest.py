"""The unit tests encode each of their images and texts once a process: their facts are not the encoder's."""

import pytest

from tests.support.remembered import Embeddings


@pytest.fixture(scope="module", autouse=True)
def _remembered(remembered: Embeddings) -> None:
    """Use `remembered.unused()` where encoding again is part of a test's fact."""
