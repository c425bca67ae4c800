"""The active judges: one, or with a canary two that share the images between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import Verdict
from pipeline.events.releases import in_sample
from pipeline.judge.score import Judge
from pipeline.judge.verdicts import judge_images

CURRENT, CANARY = "current", "canary"


@dataclass(frozen=True, slots=True)
class ActiveJudges:
    """The judges of a whole chunk; `canary` judges `canary_share` of the images, 0 to 1, in place of `judge`."""

    judge: Judge
    version: int = 0
    canary: Judge | None = None
    canary_share: float = 0.0

    def judges(self) -> tuple[Judge, ...]:
        """Return the judge, and the canary's if there is one."""
        return (self.judge,) if self.canary is None else (self.judge, self.canary)

    def judge_images(
        self, images: Sequence[DecodedImage], embeddings: NDArray[np.float32], time: datetime
    ) -> list[Verdict]:
        """Return one verdict for each image, in order; `embeddings`: float32 [N, D]."""
        if self.canary is None:
            return judge_images(images, embeddings, self.judge, time)
        chosen = np.array([self._for_canary(image) for image in images], dtype=bool)
        verdicts: dict[int, Verdict] = {}
        for judge, rows in ((self.judge, np.flatnonzero(~chosen)), (self.canary, np.flatnonzero(chosen))):
            part = judge_images([images[row] for row in rows.tolist()], embeddings[rows], judge, time)
            verdicts |= dict(zip(rows.tolist(), part, strict=True))
        return [verdicts[row] for row in range(len(images))]

    def role(self, verdict: Verdict) -> str:
        """Return the role, current or canary, of the judge that made a verdict."""
        made_by_canary = self.canary is not None and verdict.policy_set is self.canary.bank.policy_set
        return CANARY if made_by_canary else CURRENT

    def _for_canary(self, image: DecodedImage) -> bool:
        return in_sample(self.canary_share, image.event.source, image.event.id, CANARY)
