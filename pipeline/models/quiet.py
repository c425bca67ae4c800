"""Silence for libraries that warn a great deal while models are loaded and exported."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISY = ("torch.onnx", "transformers", "onnxscript")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """
    Hold back the warnings of PyTorch's exporter and of `transformers`, not their errors.

    A bundle is compared with its source after an export, so the comparison answers the warnings.
    """
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
