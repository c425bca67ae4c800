"""Objectives of training: both towers against each other, or the image tower against locked texts."""

import random

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.captions import Captions
from pipeline.models.training.dual_encoder import MAXIMUM_LOGIT_SCALE, DualEncoder
from pipeline.models.training.gradients import full_precision
from pipeline.models.training.learner import Learner
from pipeline.models.training.loss import cross_entropy_to, multi_positive_loss
from pipeline.models.training.recipe import ImageRecipe
from pipeline.models.training.text_bank import TextBank
from pipeline.models.training.vision import ImageTower


class Objective(Learner):
    """
    A loss over images with its parameters.

    `forward` takes normalised images, float [N, 3, S, S], and the share of each category in them, float [N, C], and
    returns a scalar. `prototypes` returns a unit vector for each category, float [C, D], to watch the run.
    """

    image: ImageTower
    log_scale: nn.Parameter

    def prototypes(self) -> Tensor:
        raise NotImplementedError


class JointObjective(Objective):
    """Both towers from scratch: the symmetric contrastive loss over a new caption for each category and group."""

    membership: Tensor

    def __init__(
        self, model: DualEncoder, tokenizer: Tokenizer, captions: Captions, recipe: ImageRecipe, seed: int
    ) -> None:
        super().__init__()
        self.model = model
        self._tokenizer, self._captions, self._group_weight = tokenizer, captions, recipe.group_weight
        self._random = random.Random(seed)  # noqa: S311 -- captions are no secret
        self.register_buffer("membership", torch.from_numpy(captions.membership()), persistent=False)

    @property
    def image(self) -> ImageTower:  # type: ignore[override]  # the towers' own module holds it
        return self.model.image

    @property
    def log_scale(self) -> nn.Parameter:  # type: ignore[override]
        return self.model.log_scale

    def forward(self, images: Tensor, matches: Tensor) -> Tensor:
        texts = self._captions.draw_categories(self._random) + self._captions.draw_groups(self._random)
        image_embeds, text_embeds, scale = self.model(images, self._tokens(texts))
        with full_precision(images.device):
            logits = scale * image_embeds @ text_embeds.T
            names = matches.shape[1]
            grouped = multi_positive_loss(logits[:, names:], matches @ self.membership)
            return multi_positive_loss(logits[:, :names], matches) + self._group_weight * grouped

    @torch.no_grad()
    def prototypes(self) -> Tensor:
        prompts = [self._captions.plain(category) for category in self._captions.categories]
        vectors = self.model.text(self._tokens([text for texts in prompts for text in texts]))
        return _mean_directions(functional.normalize(vectors, dim=-1).view(len(prompts), -1, vectors.shape[-1]))

    def _tokens(self, texts: list[str]) -> Tensor:
        """Return token ids without columns of padding alone; the pad id is 0."""
        input_ids = torch.tensor([encoding.ids for encoding in self._tokenizer.encode_batch(texts)])
        return input_ids[:, : int((input_ids != 0).sum(1).max())].to(self.membership.device)


class LockedTextObjective(Objective):
    """
    The image tower alone, tuned to fixed texts (Zhai et al. 2022).

    The loss has three parts: the smoothed cross-entropy of an image against all captions, each in one template a step;
    the cross-entropy of a category against the images of the batch; and the cosine to the mean of the category's
    captions.
    """

    vectors: Tensor
    owners: Tensor
    plain: Tensor
    centres: Tensor

    def __init__(self, image: ImageTower, bank: TextBank, recipe: ImageRecipe, seed: int) -> None:
        super().__init__()
        self.image = image
        self.log_scale = nn.Parameter(torch.tensor(2.659))  # 1 / 0.07, Radford et al. 2021, section 2.5
        self._recipe = recipe
        self._generator = torch.Generator().manual_seed(seed)
        self.register_buffer("vectors", torch.from_numpy(bank.vectors), persistent=False)
        self.register_buffer("owners", torch.from_numpy(bank.owners), persistent=False)
        self.register_buffer("plain", torch.from_numpy(bank.plain), persistent=False)
        self.register_buffer("centres", torch.from_numpy(bank.centres), persistent=False)

    def forward(self, images: Tensor, matches: Tensor) -> Tensor:
        embeds = functional.normalize(self.image(images).float(), dim=-1)
        with full_precision(images.device):
            return self._loss(embeds, matches)

    def _loss(self, embeds: Tensor, matches: Tensor) -> Tensor:
        recipe = self._recipe
        scale = self.log_scale.exp().clamp(max=MAXIMUM_LOGIT_SCALE)
        captions = self._draw()
        to_texts = cross_entropy_to(scale * embeds @ captions.T, matches @ self.owners, recipe.smoothing)
        from_texts = cross_entropy_to(scale * self.plain @ embeds.T, matches.T)
        wanted = functional.normalize(matches @ self.centres, dim=-1)
        nearness = 1 - (embeds * wanted).sum(1).mean()
        return to_texts + recipe.from_text_weight * from_texts + recipe.nearness_weight * nearness

    def prototypes(self) -> Tensor:
        return self.plain

    def _draw(self) -> Tensor:
        """Return every caption, each in one template, float [K, D]."""
        templates, captions, _ = self.vectors.shape
        chosen = torch.randint(templates, (captions,), generator=self._generator)
        indices = torch.arange(captions, device=self.vectors.device)
        return self.vectors[chosen.to(indices.device), indices]


def _mean_directions(vectors: Tensor) -> Tensor:
    """Map unit vectors, float [C, T, D], to the directions of their means, float [C, D]."""
    return functional.normalize(vectors.mean(1), dim=-1)
