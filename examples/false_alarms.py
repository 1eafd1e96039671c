"""Measure how many good photos One-to-Normal calls anomalous if only references set the threshold.

    python examples/false_alarms.py elpv brain-mri=ROOT mvtec=ROOT folder=TUNING_SETS

For each category and number of references: branch n alone, no pool; a threshold per rate from left-out references; and
the share of held-out good photos above it. "-": too few views of left-out references to support the rate. The median
is that of the good photos' scores.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from normalgen.data.category import Category
from normalgen.data.registry import find_dataset
from normalgen.detectors.conformal import Threshold
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.errors import NormalgenError
from normalgen.images.images import Images
from normalgen.references import References, choose


def read(words: list[str]) -> Iterator[Category]:
    """Read every category of DATASET or DATASET=ROOT."""
    for word in words:
        name, _, root = word.partition("=")
        dataset, folder = find_dataset(name), Path(root) if root else None
        yield from (dataset.read(folder, category) for category in dataset.categories(folder))


def held_out(category: Category, most: int, shots: int, seed: int) -> Images:
    """Return good photos that are no references: those to test on, spread evenly, then others to learn from."""
    good = [test.image for test in category.tests if not test.label]
    used = set(references(category, shots, seed).images.names)
    spare = [item for item in category.normals.items if item.name not in used]
    return Images([*good[:: max(1, len(good) // most)], *spare][:most])


def references(category: Category, k: int, seed: int) -> References:
    named = {"dataset": category.dataset, "category": category.name, "noun": category.noun}
    return choose(category.normals, k, seed=seed, **named)


def shares(detector: OneToNormal, scores: Tensor, rates: list[float]) -> Iterator[str]:
    """Yield the share of `scores` called anomalous at each rate, in percent."""
    for rate in rates:
        threshold = Threshold(detector.left_out, rate, "approximate")
        alarms = sum(verdict == "anomalous" for verdict in threshold.verdicts(scores))
        yield f"{100 * alarms / len(scores):.0f}" if threshold.supported else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="DATASET[=ROOT]")
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--good", type=int, default=60, help="most good photos to judge per category")
    parser.add_argument("--features", default="embedded")
    parser.add_argument("--seed", type=int, default=0, help="chooses the references")
    parser.add_argument("--cache", type=Path, help="folder to keep features in")
    asked = parser.parse_args()
    columns = [f"{k} shots, {rate:g}" for k in asked.shots for rate in asked.rates]
    print(f"| category | good photos | {' | '.join(columns)} | median score |")
    print("|" + "---|" * (len(columns) + 3), flush=True)
    for category in read(asked.sets):
        good = held_out(category, asked.good, max(asked.shots), asked.seed)
        cells: list[str] = []
        medians: list[str] = []
        for k in asked.shots:
            detector = OneToNormal(branches=("n",), features=asked.features, seed=asked.seed, cache=asked.cache)
            scores = detector.fit(references(category, k, asked.seed)).predict(good).image_scores
            cells += shares(detector, scores, asked.rates)
            medians.append(f"{float(scores.median()):.2f}")
        print(f"| {category.name} | {len(good)} | {' | '.join(cells)} | {', '.join(medians)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except NormalgenError as error:
        sys.exit(str(error))
