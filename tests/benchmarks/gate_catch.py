"""What the gate rejects of good photos that it should keep, and what it catches of defects, drawn and real.

    python tests/benchmarks/gate_catch.py TUNING_SETS/* ROOT/mvtec/screw ROOT/hazelnut_photos/hazelnut -k 2 4 8

Each folder has MVTec's layout. Per folder and number of references, in percent: good photos that are no references,
rejected (and why); defective photos, caught; drawn defects on these good photos, caught; fresh augmentations of the
references, which candidates look like, rejected; drawn defects on these, caught; mirrored fragments on these, caught.
"""

import argparse
import random
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from normalgen.customizing.auto_augment import settled
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.open_features import open_features
from normalgen.images.augment import augment_each
from normalgen.images.defects import KINDS, paste, paste_fragment
from normalgen.images.images import Images
from normalgen.images.turning import turnables
from normalgen.io.rng import generator
from normalgen.quality.gate import Gate
from normalgen.references import References
from normalgen.settings.presets import preset

GOOD, DRAWN, FRESH, MOST, SIZE = 24, 20, 10, 8, 256


def picked(images: Images, n: int) -> Images:
    """A random n of them, in order."""
    order = list(range(len(images)))
    random.Random(0).shuffle(order)
    return images.take(sorted(order[:n]))


def reasons(gate: Gate, images: Iterable[Tensor]) -> str:
    """The share rejected, with the counts of reasons; each image by itself, earlier ones are forgotten."""
    verdicts = []
    for image in images:
        gate.kept.clear()
        verdicts.append(gate.judge(image).reason)
    counts = Counter(filter(None, verdicts))
    why = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{100 * counts.total() / len(verdicts):.0f}{f' ({why})' if why else ''}"


def spoilt(images: Tensor, n: int, *keys: str) -> list[Tensor]:
    """Drawn defects, of each kind in turn."""
    kinds = [*KINDS]
    return [paste(images[i % len(images)], kinds[i % len(kinds)], generator(*keys, i))[0] for i in range(n)]


def measure(folder: Path, shots: list[int], features: Features) -> None:
    train = Images.from_folder(folder / "train/good")
    order = list(range(len(train)))
    random.Random(0).shuffle(order)
    good = picked(Images.from_folder(folder / "test/good"), GOOD)
    if len(good) < GOOD:
        good = Images([*good.items, *train.take(order[MOST:]).items])
    kinds = [path for path in sorted((folder / "test").iterdir()) if path.name != "good"]
    parts = [picked(Images.from_folder(path), GOOD // len(kinds)) for path in kinds]
    normal, defective = (
        images.pixels(SIZE).float() / 255 for images in (good, Images([*chain(*(part.items for part in parts))]))
    )
    for k in shots:
        images = train.take(order[:k])
        kind = settled(preset("tiny"), References(images, folder.name, folder.name, seed=0, available=k)).augment
        photos = turnables(images, SIZE)
        gate = Gate(photos, kind, features, seed=0)
        draws = [generator("augment", 77, i) for i in range(FRESH)]
        fresh = augment_each([photos[i % k] for i in range(FRESH)], kind, draws)
        fragments = [paste_fragment(image, generator("fragment", folder.name, i))[0] for i, image in enumerate(fresh)]
        drawn = spoilt(normal, DRAWN, "catch", folder.name), spoilt(fresh, FRESH, "catch2", folder.name)
        sets = (normal, defective, drawn[0], fresh, drawn[1], fragments)
        print(f"| {folder.name} | {k} | {' | '.join(reasons(gate, one) for one in sets)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-k", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--features", default="embedded")
    parser.add_argument("--cache", type=Path, help="folder to keep features in")
    asked = parser.parse_args()
    features: Features = open_features(asked.features)
    if asked.cache:
        features = KeptFeatures(features, asked.cache)
    print("| set | shots | good | defective | drawn on good | augmented | drawn on augmented | fragments |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with torch.inference_mode():
        for folder in asked.folders:
            measure(folder, asked.k, features)


if __name__ == "__main__":
    main()
