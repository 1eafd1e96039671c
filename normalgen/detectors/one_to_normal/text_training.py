"""Trains text maps on marked images of other objects, as in APRIL-GAN (Chen et al. 2023)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.data.category import Category, TestImage
from normalgen.data.mask_check import need_masks
from normalgen.detectors.one_to_normal.text_branch import DIGITS, TextMaps, text_vectors
from normalgen.errors import DataError, PresetError
from normalgen.features.contract import Features, TextSide
from normalgen.images.images import Images
from normalgen.io.atomic import write_whole
from normalgen.io.checkpoint import read_checkpoint, write_checkpoint
from normalgen.io.notes import note
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator

__all__ = ["text_loss", "train_text"]


def text_loss(logits: list[Tensor], masks: Tensor) -> Tensor:
    """Return focal loss (gamma 2) plus Dice loss of the anomalous map, summed over levels, as in APRIL-GAN.

    Args:
        logits: (N, 2, rows, columns) per level; enlarged to the masks (bilinear, corners aligned) before the softmax.
        masks: (N, S, S) of 0 and 1.
    """
    total = masks.new_zeros(())
    for level in logits:
        large = interpolate(level, masks.shape[-2:], mode="bilinear", align_corners=True).softmax(1)
        truth = torch.stack([1 - masks, masks], 1).clamp(1e-5, 1 - 1e-5)
        right = (truth * large).sum(1) + 1e-5
        anomalous = large[:, 1].flatten(1)
        shared, marked = (anomalous * masks.flatten(1)).sum(1), masks.flatten(1).sum(1)
        dice = 1 - (2 * shared + 1) / (anomalous.sum(1) + marked + 1)
        total = total - ((1 - right).square() * right.log()).mean() + dice.mean()
    return total


def train_text(
    features: Features,
    categories: Sequence[Category],
    *,
    epochs: int = 3,
    batch: int = 8,
    rate: float = 1e-3,
    seed: int = 0,
    watch: Watch = silent,
    checkpoint: Path | None = None,
) -> TextMaps:
    """Return text maps for `features`, trained on marked test images of other objects than those to be judged later.

    The features stay frozen. Adam, betas 0.5 and 0.999. The maps are those of the last epoch, not of the best one.

    Args:
        features: features with a text side.
        categories: categories whose test images have masks, such as `marked_categories` finds.
        epochs: 3 for MVTec, 15 for VisA in APRIL-GAN.
        batch: images per step.
        rate: learning rate.
        seed: decides the initial weights and the order of the images; the same seed gives the same maps.
        watch: receives the progress in steps.
        checkpoint: file written after each epoch; if it exists and is from the same training, training resumes there.

    Raises:
        PresetError: features without a text side, a number below 1, or a checkpoint with more epochs.
        DataError: there are no test images, or one cannot be read; before any training: masks are missing, empty or of
            another size.
    """
    if features.text is None:
        raise PresetError(f"the features {features.name} have no text side; use clip")
    if min(epochs, batch) < 1:
        raise PresetError(f"epochs and batch must be at least 1, got {epochs} and {batch}")
    items = [(test, category.noun) for category in categories for test in category.tests]
    if not items:
        raise DataError("there are no test images to train text maps on; expected marked images of other objects")
    checked = need_masks(categories, features.size, watch)
    for line in checked.lines:
        note(line)
    state = _Training(features, features.text, items, batch=batch, rate=rate, seed=seed)
    if checkpoint is not None and checkpoint.is_file():
        state.read(checkpoint)
    if state.epoch > epochs:
        raise PresetError(f"{checkpoint} holds {state.epoch} epochs already; remove it to train {epochs}")
    steps = -(-len(items) // batch)
    watch("text maps", state.epoch * steps, epochs * steps)
    while state.epoch < epochs:
        order = torch.randperm(len(items), generator=generator("text", seed, state.epoch)).tolist()
        for step in range(steps):
            state.step(order[step * batch : (step + 1) * batch])
            watch("text maps", state.epoch * steps + step + 1, epochs * steps)
        state.epoch += 1
        if checkpoint is not None:
            write_whole(checkpoint, state.write)
    return state.maps.eval().requires_grad_(False)


class _Training:
    """The state of a training of text maps."""

    def __init__(
        self,
        features: Features,
        side: TextSide,
        items: Sequence[tuple[TestImage, str]],
        *,
        batch: int,
        rate: float,
        seed: int,
    ) -> None:
        self.features, self.side, self.items = features, side, items
        tokens = features.tokens(torch.zeros(1, 3, features.size, features.size))
        widths = [level.shape[-1] for level in tokens]
        seen = [digest[:DIGITS] for digest in Images([test.image for test, _ in items]).hashes()]
        maps = TextMaps(widths, side.width, features=features.name, size=features.size, seed=seed, learnt_from=seen)
        self.maps = maps.to(tokens[0].device)
        self.optimizer = torch.optim.Adam(self.maps.parameters(), lr=rate, betas=(0.5, 0.999))
        self.vectors: dict[str, Tensor] = {}
        self.epoch = 0
        self.plan = {
            "features": features.name,
            "size": features.size,
            "batch": batch,
            "rate": rate,
            "seed": seed,
            "items": hashlib.sha256(" ".join(seen).encode()).hexdigest(),
        }

    def step(self, rows: list[int]) -> None:
        chosen = [self.items[row] for row in rows]
        loaded = [test.load(self.features.size) for test, _ in chosen]
        for noun in {noun for _, noun in chosen} - set(self.vectors):
            self.vectors[noun] = text_vectors(self.side, noun)
        # Copies: autograd refuses tensors made in inference mode.
        tokens = [level.clone() for level in self.features.tokens(torch.stack([image for image, _ in loaded]))]
        masks = torch.stack([mask for _, mask in loaded]).to(tokens[0])
        logits = self.maps.logits(tokens, torch.stack([self.vectors[noun] for _, noun in chosen]))
        self.optimizer.zero_grad(set_to_none=True)
        text_loss(logits, masks).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def write(self, path: Path) -> None:
        held = {"epoch": self.epoch, "maps": self.maps.state_dict(), "optimizer": self.optimizer.state_dict()}
        write_checkpoint(path, {"plan": self.plan, **held})

    def read(self, path: Path) -> None:
        held = read_checkpoint(path)
        if held is None or held["plan"] != self.plan:
            return
        self.epoch = held["epoch"]
        self.maps.load_state_dict(held["maps"])
        self.optimizer.load_state_dict(held["optimizer"])
