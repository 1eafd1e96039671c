"""The text branch: WinCLIP's sentences, and a linear map a level from patch vectors to where the sentences lie.

Sentences as in WinCLIP (Jeong et al. 2023); maps, loss and optimizer as in APRIL-GAN (Chen et al. 2023), which
One-to-Normal (Li et al., NeurIPS 2024, Eq. 6) leaves open.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from normalgen.data import Category, TestImage
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.features import Features, TextSide
from normalgen.files import write_whole
from normalgen.seeds import generator
from normalgen.watch import Watch, silent

__all__ = [
    "ANOMALOUS",
    "NORMAL",
    "TEMPLATES",
    "TextMaps",
    "sentences",
    "text_loss",
    "text_vectors",
    "train_text",
]

NORMAL = (
    "{object}",
    "flawless {object}",
    "perfect {object}",
    "unblemished {object}",
    "{object} without flaw",
    "{object} without defect",
    "{object} without damage",
)
ANOMALOUS = ("damaged {object}", "{object} with flaw", "{object} with defect", "{object} with damage")
_KINDS = (
    "a cropped photo of {article} {state}.",
    "a close-up photo of {article} {state}.",
    "a bright photo of {article} {state}.",
    "a dark photo of {article} {state}.",
    "a jpeg corrupted photo of {article} {state}.",
    "a blurry photo of {article} {state}.",
    "a photo of {article} {state}.",
    "a photo of {article} small {state}.",
    "a photo of {article} large {state}.",
    "a photo of {article} {state} for visual inspection.",
    "a photo of {article} {state} for anomaly detection.",
)
TEMPLATES = tuple(kind.replace("{article}", article) for kind in _KINDS for article in ("a", "the"))
SCALE = 100.0


def sentences(states: Sequence[str], noun: str) -> list[str]:
    """Every state in every template: 154 normal ones of `NORMAL`, 88 anomalous ones of `ANOMALOUS`."""
    return [template.replace("{state}", state).replace("{object}", noun) for state in states for template in TEMPLATES]


def text_vectors(side: TextSide, noun: str) -> Tensor:
    """What normal and anomalous objects are called, (2, D), of unit length: row 0 normal, row 1 anomalous.

    Each sentence's vector is scaled to length 1, then their mean is (as in the code of InCTRL's authors).

    Raises:
        PresetError: the noun is so long that a sentence does not fit.
    """
    means = [normalize(side.encode(sentences(states, noun)), dim=1).mean(0) for states in (NORMAL, ANOMALOUS)]
    return normalize(torch.stack(means), dim=1)


class TextMaps(nn.Module):
    """One linear map with bias a level, from patch vectors to the sentences' space (APRIL-GAN; One-to-Normal, Eq. 6).

    Args:
        widths: C of each level.
        width: D of the sentences' vectors.
        features: name of the features they are for.
        size: pixels that those look at.
        seed: of the weights before training.
    """

    def __init__(self, widths: Sequence[int], width: int, *, features: str, size: int, seed: int = 0) -> None:
        super().__init__()
        self.features = features
        self.size = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.levels = nn.ModuleList(nn.Linear(each, width) for each in widths)

    def logits(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """100 times the cosines to the sentences, (N, 2, rows, columns) a level.

        Args:
            tokens: (N, rows, columns, C) a level, on any device.
            vectors: of `text_vectors`, (2, D) for all images or (N, 2, D), on the maps' device.
        """
        tokens = [each.to(vectors.device) for each in tokens]
        wide = vectors.expand(len(tokens[0]), *vectors.shape[-2:])
        mapped = [normalize(level(each), dim=-1) for level, each in zip(self.levels, tokens, strict=True)]
        return [SCALE * torch.einsum("nrcd,nkd->nkrc", each, wide) for each in mapped]

    @torch.no_grad()
    def scores(self, tokens: list[Tensor], vectors: Tensor) -> list[Tensor]:
        """How anomalous each patch is, (N, rows, columns) in [0, 1] a level: softmax of `logits`, its second entry."""
        return [level.softmax(1)[:, 1] for level in self.logits(tokens, vectors)]

    def save(self, path: Path) -> None:
        """Write one safetensors file that says which features it is for."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        about = {"normalgen": "text maps", "features": self.features, "size": str(self.size)}
        write_whole(path, lambda partial: save_file(state, partial, about))

    @classmethod
    def load(cls, path: Path, features: Features) -> "TextMaps":
        """The maps of a file, where the features' text side is.

        Raises:
            MissingWeights: no such file, or not of text maps.
            PresetError: they were trained for other features, or another size.
        """
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (OSError, SafetensorError) as error:
            raise MissingWeights(
                f"{path} cannot be read as text maps ({error}); make them: normalgen train-text"
            ) from error
        if about.get("normalgen") != "text maps":
            raise MissingWeights(f"{path} does not hold text maps; make them: normalgen train-text")
        if (about["features"], about["size"]) != (features.name, str(features.size)):
            raise PresetError(
                f"{path} was trained for features {about['features']} at {about['size']} px, these are {features.name} "
                f"at {features.size} px; use those, or train others: normalgen train-text"
            )
        shapes = [state[f"levels.{level}.weight"].shape for level in range(len(state) // 2)]
        maps = cls([shape[1] for shape in shapes], shapes[0][0], features=features.name, size=features.size)
        maps.load_state_dict(state)
        where = features.text.encode(["part"]).device if features.text is not None else torch.device("cpu")
        return maps.eval().requires_grad_(False).to(where)


def text_loss(logits: list[Tensor], masks: Tensor) -> Tensor:
    """Focal loss (gamma 2) and Dice loss of the anomalous map, summed over levels, as APRIL-GAN's.

    Args:
        logits: (N, 2, rows, columns) a level; enlarged to the masks (bilinear, corners aligned) before the softmax.
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
    """Text maps for `features`, learnt from marked test images of other objects than those to be looked at later.

    The features stay frozen. Adam, betas 0.5 and 0.999; the maps of the last epoch are kept, none is chosen by a score.

    Args:
        features: with a text side.
        categories: whose test images have masks, such as `marked_categories` finds.
        epochs: 3 for MVTec, 15 for VisA in APRIL-GAN.
        batch: images a step.
        rate: learning rate.
        seed: decides the first weights and the order of the images; the same seed gives the same maps.
        watch: told of the steps.
        checkpoint: a file written after each epoch, and taken up again if it is there and of the same training.

    Raises:
        PresetError: features without a text side, or a number below 1.
        DataError: no test images, or one that cannot be read, or is anomalous without a mask.
    """
    if features.text is None:
        raise PresetError(f"the features {features.name} have no text side; use clip")
    if min(epochs, batch) < 1:
        raise PresetError(f"epochs and batch must be at least 1, got {epochs} and {batch}")
    items = [(test, category.noun) for category in categories for test in category.tests]
    if not items:
        raise DataError("there are no images to learn text maps from")
    state = _Training(features, features.text, items, batch=batch, rate=rate, seed=seed)
    if checkpoint is not None and checkpoint.is_file():
        state.read(checkpoint)
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
    """All that changes while text maps are trained."""

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
        seen = features.tokens(torch.zeros(1, 3, features.size, features.size))
        widths = [level.shape[-1] for level in seen]
        maps = TextMaps(widths, side.width, features=features.name, size=features.size, seed=seed)
        self.maps = maps.to(seen[0].device)
        self.optimizer = torch.optim.Adam(self.maps.parameters(), lr=rate, betas=(0.5, 0.999))
        self.vectors: dict[str, Tensor] = {}
        self.epoch = 0
        names = "\n".join(test.image.source for test, _ in items)
        self.plan = {
            "features": features.name,
            "size": features.size,
            "batch": batch,
            "rate": rate,
            "seed": seed,
            "items": hashlib.sha256(names.encode()).hexdigest(),
        }

    def step(self, rows: list[int]) -> None:
        chosen = [self.items[row] for row in rows]
        loaded = [test.load(self.features.size) for test, _ in chosen]
        for noun in {noun for _, noun in chosen} - set(self.vectors):
            self.vectors[noun] = text_vectors(self.side, noun)
        # Copies: what was computed in inference mode cannot be learnt from.
        tokens = [level.clone() for level in self.features.tokens(torch.stack([image for image, _ in loaded]))]
        masks = torch.stack([mask for _, mask in loaded]).to(tokens[0])
        logits = self.maps.logits(tokens, torch.stack([self.vectors[noun] for _, noun in chosen]))
        self.optimizer.zero_grad(set_to_none=True)
        text_loss(logits, masks).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def write(self, path: Path) -> None:
        buffer = io.BytesIO()
        held = {"epoch": self.epoch, "maps": self.maps.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({"plan": self.plan, **held}, buffer)
        path.write_bytes(buffer.getbuffer())

    def read(self, path: Path) -> None:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if held["plan"] != self.plan:
            return
        self.epoch = held["epoch"]
        self.maps.load_state_dict(held["maps"])
        self.optimizer.load_state_dict(held["optimizer"])
