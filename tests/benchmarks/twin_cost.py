"""What each way to a faster twin costs: seconds, and how far the twin moves from the one of 50 steps.

The distance is measured in SSIM and in embedded features (mean distance of patches in place); beside it stands what
another noise seed changes in the 50-step twin, below which no difference means anything.

    python tests/benchmarks/twin_cost.py --model models/hazelnut --photos DIR

With Stable Diffusion's weights: a model customized by preset sd15 or paper, --device cuda, and --distilled LORA for the
rows that need distilled weights.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.images import Images
from normalgen.settings.prompts import prompt_set

WAYS: dict[str, dict[str, Any]] = {
    "50 steps": {},
    "50 steps, another seed": {},
    "20 steps": {"steps": 20},
    "10 steps": {"steps": 10},
    "4 explicit steps": {"explicit_steps": 4},
    "2 explicit steps": {"explicit_steps": 2},
    "1 explicit step": {"explicit_steps": 1},
    "guidance off": {"guidance": 1.0},
    "4 explicit steps, guidance off": {"explicit_steps": 4, "guidance": 1.0},
    "bfloat16": {"precision": "bfloat16"},
    "compiled": {"compile": True},
}
DISTILLED: dict[str, dict[str, Any]] = {
    "lcm, 4 explicit steps": {"sampler": "lcm", "explicit_steps": 4, "guidance": 1.0},
    "tcd, 4 explicit steps": {"sampler": "tcd", "explicit_steps": 4, "guidance": 1.0},
}


def twins(model: NormalModel, queries: Tensor, strength: float, batch: int, seed: int) -> tuple[Tensor, float]:
    """The twins, and seconds a twin, without the first batch where more than one is made."""
    prompts = list(prompt_set(3))
    found, begun = [], time.perf_counter()
    for start in range(0, len(queries), batch):
        part = queries[start : start + batch]
        texts = [prompts[(start + i) % 3] for i in range(len(part))]
        indices = range(start, start + len(part))
        found.append(model.restore(part, prompts=texts, strength=strength, seed=seed, indices=indices))
        if start == 0 and len(queries) > batch:
            begun = time.perf_counter()
    timed = len(queries) - batch if len(queries) > batch else len(queries)
    return torch.cat(found), (time.perf_counter() - begun) / timed


def alike(one: Tensor, other: Tensor) -> float:
    pairs = zip(one.numpy(), other.numpy(), strict=True)
    found = [structural_similarity(a, b, channel_axis=0, data_range=1) for a, b in pairs]
    return float(sum(found) / len(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--distilled", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--strength", type=float, default=0.3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("-n", type=int, default=16)
    asked = parser.parse_args()
    features = CnnFeatures()
    queries, reference, seen = torch.empty(0), torch.empty(0), torch.empty(0)
    guided = NormalModel.load(asked.model).preset.sample.guidance > 1
    ways = {name: way for name, way in WAYS.items() if guided or "guidance" not in way}
    print("| way | ms a twin | SSIM to 50 steps | feature distance to 50 steps |\n|---|---|---|---|")
    for name, changes in (ways | (DISTILLED if asked.distilled else {})).items():
        given = {"steps": 50} | changes | ({"distilled": asked.distilled} if name in DISTILLED else {})
        given_too = {"sample": given, "pool": {"plain": 1.0}}  # no pool is made: its strength is not asked
        model = NormalModel.load(asked.model, device=asked.device, changes=given_too)
        if not queries.numel():
            queries = Images.from_folder(asked.photos).pixels(model.preset.size)[: asked.n].float() / 255
        found, seconds = twins(model, queries, asked.strength, asked.batch, 1 if "seed" in name else 0)
        if not reference.numel():
            reference, seen = found, features.patches(found, 16)
        moved = (features.patches(found, 16) - seen).norm(dim=-1).mean()
        print(f"| {name} | {1000 * seconds:.0f} | {alike(found, reference):.3f} | {moved:.3f} |", flush=True)


if __name__ == "__main__":
    main()
