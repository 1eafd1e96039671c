"""What the gate catches: drawn defects of each kind on images that it should keep, and real defective photos.

    augmented   fresh augmentations of the references: what a candidate should look like
    restored    the same, noised and denoised by the prior without customization: worse than candidates look
    others      augmented normal photos that are not references

For each: the share kept without a defect; and by kind, the share caught at the gate's own limits, and by the defect
number alone at the cut-off that keeps 95 % of these images. Of mirrored fragments, the share caught.

    python tests/benchmarks/gate_catch.py --data ROOT --categories screw hazelnut -k 4
"""

import argparse
from pathlib import Path

import torch
from cases import TUNING, besides, by_label, find
from torch import Tensor

from normalgen.customizing.auto_augment import settled
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.images.augment import augment_each
from normalgen.images.defects import KINDS, paste, paste_fragment
from normalgen.images.images import Images
from normalgen.images.turning import Turnable, turnables
from normalgen.io.rng import generator
from normalgen.quality.gate import Gate, Verdict
from normalgen.references import choose
from normalgen.settings.presets import Augment, preset
from normalgen.settings.prompts import INSTANCE_PROMPT

COUNT, SIZE = 24, 256


def judged(gate: Gate, images: Tensor) -> list[Verdict]:
    """Each by itself: earlier ones are forgotten."""
    verdicts = []
    for image in images:
        gate.kept.clear()
        verdicts.append(gate.judge(image))
    return verdicts


def floats(images: Images) -> Tensor:
    return images.pixels(SIZE).float() / 255


def augmented(photos: list[Turnable], seed: int, kind: Augment) -> Tensor:
    """Fresh augmentations of the photos in turn, COUNT of them."""
    draws = [generator("augment", seed, i) for i in range(COUNT)]
    return augment_each([photos[i % len(photos)] for i in range(COUNT)], kind, draws)


def caught(verdicts: list[Verdict], limit: float) -> str:
    gone = sum(not verdict.kept for verdict in verdicts)
    above = sum(verdict.numbers["defect"] > limit for verdict in verdicts)
    return f"{100 * gone / len(verdicts):.0f}/{100 * above / len(verdicts):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--categories", nargs="+", default=[*TUNING])
    parser.add_argument("-k", type=int, default=4)
    asked = parser.parse_args()
    settings = preset("tiny")
    model = NormalModel(open_parts(settings.weights), settings, category="", noun="thing")
    for name in asked.categories:
        category = find(name, asked.data)
        references = choose(category.normals, asked.k, dataset="gate", category=name, noun=name, seed=0)
        photos, augment = turnables(references.images, SIZE), settled(settings, references).augment
        gate = Gate(photos, augment, seed=0)
        fresh = augmented(photos, 77, augment)
        restored = model.restore(fresh, prompts=[INSTANCE_PROMPT] * COUNT, strength=settings.pool.strength, seed=0)
        others = besides(category, references.images)
        unseen = turnables(others.take(range(min(COUNT, len(others)))), SIZE)
        sets = {"augmented": fresh, "restored": restored, "others": augmented(unseen, 78, augment)}
        for label, images in sets.items():
            clean = judged(gate, images)
            limit = float(torch.tensor([verdict.numbers["defect"] for verdict in clean]).quantile(0.95))
            found = []
            for kind in KINDS:
                pasted = [paste(image, kind, generator("catch", name, i))[0] for i, image in enumerate(images)]
                found.append(f"{kind} {caught(judged(gate, torch.stack(pasted)), limit)}")
            parts = [paste_fragment(image, generator("fragment", name, i))[0] for i, image in enumerate(images)]
            gone = sum(not verdict.kept for verdict in judged(gate, torch.stack(parts)))
            found.append(f"fragment {100 * gone / len(parts):.0f}")
            kept = sum(verdict.kept for verdict in clean)
            print(f"{name} k={asked.k} {label:9} kept {100 * kept / len(clean):.0f} %; {'  '.join(found)}", flush=True)
        real = judged(gate, floats(by_label(category, 1)))
        print(
            f"{name} k={asked.k} real defective photos caught/above the last cut-off: {caught(real, limit)}", flush=True
        )


if __name__ == "__main__":
    main()
