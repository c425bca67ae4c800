"""Recipes: all settings that decide a run's result, except its data."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schedule:
    """
    Duration and learning rate of a run.

    Minutes are processor time of each rank, so that other work on the machine changes the duration of a run, not its
    result. `batch` is for each rank; `micro_batch`, for pairs, is the number computed at once (0: the whole batch).
    """

    minutes: float = 25.0
    ranks: int = 2
    batch: int = 96
    micro_batch: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.05
    ema: float = 0.998
    seed: int = 7


@dataclass(frozen=True)
class ImageRecipe:
    """A run that trains the image tower, alone or with the text tower."""

    schedule: Schedule = field(default_factory=Schedule)
    dimension: int = 256
    resolutions: tuple[int, ...] = (64, 80, 96)
    # The size in use. Objects appear larger in training crops than in whole images, so whole images do best at about
    # 1.3 times the training size (Touvron et al. 2019, section 3).
    image_size: int = 128
    smallest_area: float = 0.3
    mix_probability: float = 0.5
    dropout: float = 0.1
    # For locked texts.
    smoothing: float = 0.1
    from_text_weight: float = 0.3
    nearness_weight: float = 1.0
    # For both towers.
    group_weight: float = 0.2
    context: int = 32
    vocabulary: int = 2048


@dataclass(frozen=True)
class TextRecipe:
    """A run that distils a text tower from a sentence encoder."""

    schedule: Schedule = field(default_factory=lambda: Schedule(minutes=20, batch=192, learning_rate=1e-3))
    phrases: int = 120_000
    # Parts of the encoder that remain: number of tokens, their dimensions, and layers.
    vocabulary: int = 26_000
    embedding: int = 96
    layers: tuple[int, ...] = (0, 5)
    context: int = 32
