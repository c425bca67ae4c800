"""JSON files of a policy folder: heads and calibrations."""

import errno
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pipeline.bounded import json_values, read_regular

MOST_BYTES = 1 << 20
MOST_VALUES = 50_000

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_json(model: type[ModelT], path: Path) -> ModelT:
    """Return the content of a file. Raises `OSError` (also if it is too large) and pydantic's `ValidationError`."""
    data = read_regular(path, MOST_BYTES)
    if json_values(data) > MOST_VALUES:
        raise OSError(errno.EFBIG, f"more than {MOST_VALUES:,} values")
    return model.model_validate_json(data)
