"""Train the small prior that normalgen bundles, from crops that `prior_images.py` collected.

Resumable: the same command goes on where it stopped. First on 128-px pieces, four times as fast, then on 256 px.

    python examples/train_prior.py --crops DIR --out DIR --steps 1500 1500
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from normalgen.diffusion.denoiser import TinyConfig
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.parts import new_tiny, open_tiny
from normalgen.diffusion.training import Batch, TrainingPlan, train
from normalgen.presets import preset
from normalgen.seeds import generator

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
    """A random piece of the image, `share` of its width, enlarged to the image's size."""
    size = image.shape[-1]
    side = max(8, round(size * share))
    top, left = (int(torch.randint(size - side + 1, (), generator=draw)) for _ in range(2))
    piece = image[None, :, top : top + side, left : left + side]
    return interpolate(piece, (size, size), mode="bicubic", antialias=True).clamp(0, 1)[0]


def shrink(image: Tensor, share: float) -> Tensor:
    """The image at `share` of its size, its border mirrored outwards."""
    size = image.shape[-1]
    side = round(size * share)
    small = interpolate(image[None], (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    before = (size - side) // 2
    after = size - side - before
    return pad(small, (before, after, before, after), mode="reflect")[0]


def coarsen(image: Tensor, factor: float, mode: str) -> Tensor:
    """The image through a grid `factor` times coarser."""
    size = image.shape[-1]
    side = max(4, round(size / factor))
    small = interpolate(image[None], (side, side), mode="bilinear", antialias=True)
    return interpolate(small, (size, size), mode=mode).clamp(0, 1)[0]


def treat(image: Tensor, draw: torch.Generator) -> tuple[Tensor, str]:
    """The image in a random physical state, and a caption that says so."""
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
        case other:
            return image, PLAIN[other % len(PLAIN)]


def fetch(crops: np.ndarray, size: int, draw: torch.Generator) -> Tensor:
    """A random crop, mirrored and turned at random, at `size` pixels: a piece of it, or all of it shrunk."""
    index = int(torch.randint(len(crops), (), generator=draw))
    image = torch.from_numpy(crops[index].copy()).permute(2, 0, 1).float() / 255
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, required=True, help="folder with crops.npy (N, 256, 256, 3) uint8")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=2, default=(1500, 1500), help="steps at 128 px and at 256 px")
    parser.add_argument("--batch", type=int, nargs=2, default=(16, 8))
    parser.add_argument("--rate", type=float, nargs=2, default=(6e-4, 3e-4))
    parser.add_argument("--start", type=Path, help="a trained prior to go on from")
    parser.add_argument("--channels", type=int, nargs="+", default=TinyConfig.channels)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    crops = np.load(arguments.crops / "crops.npy", mmap_mode="r")
    fresh = new_tiny(TinyConfig(channels=tuple(arguments.channels)), seed=arguments.seed)
    parts = open_tiny(arguments.start) if arguments.start else fresh
    model = NormalModel(parts, preset("tiny"), category="", noun="<object>", device=arguments.device)
    for phase, (size, steps) in enumerate(zip((128, 256), arguments.steps, strict=True)):
        plan = TrainingPlan(
            steps=steps,
            learning_rate=arguments.rate[phase],
            ema=0.998,
            seed=arguments.seed + phase,
            warmup=100,
            decay="cosine" if phase else "constant",
            checkpoint_every=50,
        )
        batch = arguments.batch[phase]

        def batch_at(step: int, size: int = size, batch: int = batch, plan: TrainingPlan = plan) -> Batch:
            draws = [generator("prior", plan.seed, step, row) for row in range(batch)]
            pairs = [treat(fetch(crops, size, draw), draw) for draw in draws]
            return Batch(torch.stack([p[0] for p in pairs]), [p[1] for p in pairs], torch.full((batch,), 1 / batch))

        losses: list[float] = []
        begun = time.monotonic()

        def tell(step: int, loss: float, size: int = size, losses: list[float] = losses, begun: float = begun) -> None:
            losses.append(loss)
            if step % 25 == 0:
                print(
                    f"{size} px step {step} loss {np.mean(losses[-100:]):.4f} {time.monotonic() - begun:.0f} s",
                    flush=True,
                )

        train(model, batch_at, plan, checkpoint=arguments.out / f"checkpoint-{size}.pt", after_step=tell)
        print("saved", parts.save(arguments.out).digest)


if __name__ == "__main__":
    main()
