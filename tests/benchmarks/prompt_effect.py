"""Do prompts mean something to the bundled prior? Photos it never saw, restored under a state word and under none.

Effect size: difference of the means, state word minus plain prompt, over their standard deviation (Cohen's d).

    python tests/benchmarks/prompt_effect.py FOLDER_OF_PHOTOS --strength 0.5 --count 16
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.images.images import Images
from normalgen.quality.measures import sharpness
from normalgen.settings.presets import preset

PLAIN = "a photo of {object}"
STATES = ("dark", "bright", "blurry", "low resolution", "close-up")


def effect(after: Tensor, before: Tensor) -> float:
    spread = ((after.var() + before.var()) / 2).sqrt()
    return float((after.mean() - before.mean()) / spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=16, help="photos of each folder")
    parser.add_argument("--noise", action="store_true", help="draw from noise instead (txt2img)")
    asked = parser.parse_args()
    settings = preset("tiny", weights=asked.weights, sample={"guidance": asked.guidance})
    model = NormalModel(open_parts(settings.weights), settings, category="", noun="thing")
    photos = [Images.from_folder(folder) for folder in asked.folder]
    images = torch.cat([p.take(range(min(asked.count, len(p)))).pixels(settings.size) for p in photos]).float() / 255

    def draw(prompt: str) -> Tensor:
        parts = []
        for start in range(0, len(images), 8):
            some = images[start : start + 8]
            places, prompts = range(start, start + len(some)), [prompt] * len(some)
            if asked.noise:
                parts.append(model.sample(places, prompts=prompts, seed=0))
            else:
                parts.append(model.restore(some, prompts=prompts, strength=asked.strength, seed=0, indices=places))
        return torch.cat(parts)

    plain = draw(PLAIN)
    for state in STATES:
        drawn = draw(f"a {state} photo of {{object}}")
        light = effect(drawn.mean((1, 2, 3)), plain.mean((1, 2, 3)))
        sharp = effect(sharpness(drawn), sharpness(plain))
        ratio = float(sharpness(drawn).mean() / sharpness(plain).mean())
        shift = float((drawn.mean((1, 2, 3)) - plain.mean((1, 2, 3))).mean())
        print(f"{state:15} luminance {light:+.2f} ({shift:+.4f})  sharpness {sharp:+.2f} (x {ratio:.3f})", flush=True)


if __name__ == "__main__":
    main()
