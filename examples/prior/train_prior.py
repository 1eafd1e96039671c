"""Train the small prior that normalgen bundles, on crops from `collect_images.py`.

It trains on 128-px pieces first, which is four times as fast, then on 256 px; the same command resumes. Most images
come with the feature statistics of up to four others of their group, so that the net learns how things of one kind
vary. The rest come without, so that it also learns to handle an unknown object.

    python examples/prior/train_prior.py --crops DIR --out DIR --steps 1500 1500
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.tiny.tiny_parts import new_tiny, open_tiny
from normalgen.diffusion.tiny.unet import TinyConfig
from normalgen.diffusion.training import Batch, TrainingPlan, train
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.io.rng import generator
from normalgen.settings.presets import preset

PLAIN = (
    "a photo of {object}",
    "a photo of normal {object}",
    "a good photo of {object}",
    "a photo of normal {object} without flaw",
    "a photo of normal {object} without defect",
    "a photo of normal {object} without damage",
)


def uniform(low: float, high: float, draw: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw))


def zoom(image: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Return a random piece of the image, `share` of its width, enlarged to the image's size."""
    size = image.shape[-1]
    side = max(8, round(size * share))
    top, left = (int(torch.randint(size - side + 1, (), generator=draw)) for _ in range(2))
    piece = image[None, :, top : top + side, left : left + side]
    return interpolate(piece, (size, size), mode="bicubic", antialias=True).clamp(0, 1)[0]


def shrink(image: Tensor, share: float) -> Tensor:
    """Return the image at `share` of its size, padded by mirroring."""
    size = image.shape[-1]
    side = round(size * share)
    small = interpolate(image[None], (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    before = (size - side) // 2
    after = size - side - before
    return pad(small, (before, after, before, after), mode="reflect")[0]


def coarsen(image: Tensor, factor: float, mode: str) -> Tensor:
    """Return the image resampled through a grid `factor` times coarser."""
    size = image.shape[-1]
    side = max(4, round(size / factor))
    small = interpolate(image[None], (side, side), mode="bilinear", antialias=True)
    return interpolate(small, (size, size), mode=mode).clamp(0, 1)[0]


def treat(image: Tensor, draw: torch.Generator) -> tuple[Tensor, str]:
    """Return the image in a random state, such as dark or blurry, and a caption that names it."""
    match int(torch.randint(20, (), generator=draw)):
        case 0:
            return image * uniform(0.3, 0.6, draw), "a dark photo of {object}"
        case 1:
            return 1 - (1 - image) * uniform(0.3, 0.6, draw), "a bright photo of {object}"
        case 2:
            return coarsen(image, uniform(3, 6, draw), "bicubic"), "a blurry photo of {object}"
        case 3:
            return coarsen(image, uniform(2, 4, draw), "nearest"), "a low resolution photo of {object}"
        case 4:
            return zoom(image, uniform(0.6, 0.8, draw), draw), "a cropped photo of {object}"
        case 5:
            return zoom(image, uniform(0.35, 0.6, draw), draw), "a close-up photo of {object}"
        case 6:
            return shrink(image, uniform(0.55, 0.75, draw)), "a photo of small {object}"
        case 7:
            return zoom(image, uniform(0.7, 0.9, draw), draw), "a photo of large {object}"
        case 8:
            noisy = image + 0.08 * torch.randn(image.shape, generator=draw)
            return noisy.clamp(0, 1), "a bad photo of {object}"
        case 9 | 10:
            return image, ""
        case number:
            return image, PLAIN[number % len(PLAIN)]


UNKNOWN = 0.2


@dataclass(frozen=True)
class Crops:
    """Training crops, with the group and the feature statistics of each."""

    images: NDArray[np.uint8]
    groups: NDArray[np.int32]
    statistics: Tensor

    @classmethod
    def load(cls, folder: Path) -> "Crops":
        """Load what `collect_images.py` wrote; the first call computes the statistics and saves them there."""
        images, groups = np.load(folder / "crops.npy", mmap_mode="r"), np.load(folder / "groups.npy")
        path = folder / "statistics.npy"
        if not path.is_file():
            features = CnnFeatures()
            rows = []
            for start in range(0, len(images), 16):
                rows.append(features.statistics(to_images(images[start : start + 16])))
                print(f"statistics {start} of {len(images)}", end="\r", flush=True)
            np.save(path, torch.cat(rows).numpy())
        return cls(images, groups, torch.from_numpy(np.load(path)))

    def kind(self, index: int, draw: torch.Generator) -> Tensor:
        """Return mean statistics of one to four other crops of the group; nan to leave the object unknown."""
        first, last = (int(np.searchsorted(self.groups, self.groups[index], side)) for side in ("left", "right"))
        others = [i for i in range(first, last) if i != index]
        count = int(torch.randint(1, 5, (), generator=draw))
        order = torch.randperm(len(others), generator=draw)[:count].tolist()
        if not others or torch.rand((), generator=draw) < UNKNOWN:
            return torch.full_like(self.statistics[0], torch.nan)
        return self.statistics[[others[i] for i in order]].mean(0)


def to_images(crops: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(crops.copy()).permute(0, 3, 1, 2).float() / 255


def turn(image: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """Return the crop randomly mirrored and turned, at `size` pixels: a piece of it, or all of it shrunk."""
    if torch.rand((), generator=draw) < 0.5:
        image = image.flip(2)
    if torch.rand((), generator=draw) < 0.3:
        image = image.rot90(int(torch.randint(1, 4, (), generator=draw)), (1, 2))
    if size < image.shape[-1]:
        if torch.rand((), generator=draw) < 0.5:
            top, left = (int(torch.randint(image.shape[-1] - size + 1, (), generator=draw)) for _ in range(2))
            return image[:, top : top + size, left : left + size]
        return interpolate(image[None], (size, size), mode="bicubic", antialias=True).clamp(0, 1)[0]
    return image


def batches(crops: Crops, size: int, count: int, seed: int, grouped: bool) -> Callable[[int], Batch]:
    """Return a function from a step to its batch."""

    def batch_at(step: int) -> Batch:
        draws = [generator("prior", seed, step, row) for row in range(count)]
        chosen = [int(torch.randint(len(crops.images), (), generator=draw)) for draw in draws]
        images = to_images(crops.images[chosen])
        pairs = [treat(turn(image, size, draw), draw) for image, draw in zip(images, draws, strict=True)]
        kinds = torch.stack([crops.kind(i, draw) for i, draw in zip(chosen, draws, strict=True)]) if grouped else None
        return Batch(torch.stack([p[0] for p in pairs]), [p[1] for p in pairs], torch.full((count,), 1 / count), kinds)

    return batch_at


class Log:
    """Prints the mean loss of the last hundred steps, every 25 steps."""

    def __init__(self, size: int) -> None:
        self.size, self.losses, self.begun = size, list[float](), time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if step % 25 == 0:
            seconds = time.monotonic() - self.begun
            print(f"{self.size} px step {step} loss {np.mean(self.losses[-100:]):.4f} {seconds:.0f} s", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, required=True, help="folder that collect_images.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=2, default=(1500, 1500), help="steps at 128 px and at 256 px")
    parser.add_argument("--batch", type=int, nargs=2, default=(16, 8))
    parser.add_argument("--rate", type=float, nargs=2, default=(6e-4, 3e-4))
    parser.add_argument("--focus", type=float, default=1.5, help="above 1: more training at low noise")
    parser.add_argument("--feature-weight", type=float, default=0.2)
    parser.add_argument("--fine-only", action="store_true", help="train only the fine stage, on 64-px pieces first")
    parser.add_argument("--plain", action="store_true", help="train without group statistics")
    parser.add_argument("--start", type=Path, help="a trained prior to continue from")
    parser.add_argument("--channels", type=int, nargs="+", default=TinyConfig.channels)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    crops = Crops.load(asked.crops)
    fresh = new_tiny(TinyConfig(channels=tuple(asked.channels)), seed=asked.seed)
    parts = open_tiny(asked.start) if asked.start else fresh
    model = NormalModel(parts, preset("tiny"), category="", noun="<object>", device=asked.device)
    for part in parts.modules().values():
        part.requires_grad_(not asked.fine_only)
    parts.denoiser.get_submodule("fine").requires_grad_(True)
    for phase, size in enumerate((64 if asked.fine_only else 128, 256)):
        plan = TrainingPlan(
            steps=asked.steps[phase],
            learning_rate=asked.rate[phase],
            ema=0.998,
            seed=asked.seed + phase,
            warmup=100,
            decay="cosine",
            checkpoint_every=50,
            focus=asked.focus,
            feature_weight=asked.feature_weight,
        )
        batch_at = batches(crops, size, asked.batch[phase], plan.seed, not asked.plain)
        train(model, batch_at, plan, checkpoint=asked.out / f"checkpoint-{size}.pt", after_step=Log(size))
        print("saved", parts.save(asked.out).digest)


if __name__ == "__main__":
    main()
