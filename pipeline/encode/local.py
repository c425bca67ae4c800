"""Both towers in this process, on ONNX Runtime: the default without a server, and the reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import checked_embeddings
from pipeline.encode.tokenize import TextTokenizer

TEXT_BATCH = 256


class LocalEncoder:
    """
    A bundle's towers in this process. Several threads may call it.

    `threads` is ONNX Runtime's intra-operator parallelism; with 0 the runtime chooses.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 0) -> None:
        self.model_digest = bundle.digest
        self.logit_scale = bundle.manifest.logit_scale
        self._image = open_session(bundle.image_tower, threads)
        self._text = open_session(bundle.text_tower, threads)
        self._tokenize = TextTokenizer(bundle)
        self._dimension = bundle.manifest.dimension

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length. Raises `EncoderFault` for a bad result."""
        return self._checked(self._image.run(["image_embeds"], {"images": images})[0], len(images))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length."""
        input_ids = self._tokenize(texts)
        batches = [input_ids[i : i + TEXT_BATCH] for i in range(0, len(input_ids), TEXT_BATCH)]
        found = np.concatenate([self._text.run(["text_embeds"], {"input_ids": batch})[0] for batch in batches])
        return self._checked(found, len(texts))

    def _checked(self, found: Any, count: int) -> NDArray[np.float32]:
        return checked_embeddings(np.asarray(found), (count, self._dimension), "the encoder")


def open_session(tower: Path, threads: int) -> ort.InferenceSession:
    """Open a tower on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(tower, options, providers=["CPUExecutionProvider"])
