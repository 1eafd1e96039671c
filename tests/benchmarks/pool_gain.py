"""What measures of a pool say beside the gain: a plain nearest-patch memory, with arms that differ in the bank alone.

The gain alone, on published protocols, is `normalgen evaluate`'s; this adds the measures of `normalgen pool quality`.

    none        the references
    rotations   + n references turned by multiples of 360 / n degrees
    augmented   + n references as the customization itself augments them, no diffusion
    generated   + n images of a pool that diffusion made (`plain` 0)
    both        + augmented + generated
    real        + n more real normals: what is to be hoped for at best

All arms of a cell share references, seed and n, so their differences are paired. One JSON a cell; what is there is not
made again. `screw` and `hazelnut` are for choosing settings; the others are for reporting and choose nothing.

    python tests/benchmarks/pool_gain.py --data ROOT --out DIR --categories elpv-mono --shots 2 4 --seeds 5
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from normalgen.augment import augment_each
from normalgen.customize import customize
from normalgen.diffusion.opening import open_parts
from normalgen.evaluation.arms import rotations
from normalgen.features import EmbeddedFeatures
from normalgen.images import ImageItem, Images, to_tensor
from normalgen.memory import MemoryBank
from normalgen.pool import generate_pool
from normalgen.presets import Preset, preset
from normalgen.quality import measure
from normalgen.quality.measures import patches
from normalgen.references import References, choose
from normalgen.seeds import generator

TUNING, REPORTING = ("screw", "hazelnut"), ("elpv-mono", "elpv-poly", "brain-mri")
ARMS = ("none", "rotations", "augmented", "generated", "both", "real")
SIZE, GRID, TESTED, HELD_OUT = 256, 16, 80, 40


@dataclass(frozen=True)
class Case:
    """Normals to choose references from, and test images: normal ones, then anomalous ones."""

    name: str
    noun: str
    normals: Images
    good: Images
    bad: Images


def images(files: list[Path]) -> Images:
    return Images([ImageItem(file.name, str(file), file.read_bytes) for file in sorted(files)])


def some(found: Images, count: int, *keys: int | str) -> Images:
    """At most `count` of the images, drawn by name."""
    order = torch.randperm(len(found), generator=generator("tested", *keys))[:count].tolist()
    return found.take(sorted(order))


def load_case(name: str, root: Path) -> Case:
    """A category with its test images; normals without an official split are split 75 to 25 by name."""
    match name:
        case "screw" | "hazelnut":
            folder = root / {"screw": "mvtec/screw", "hazelnut": "hazelnut_photos/hazelnut"}[name]
            bad = [file for file in folder.glob("test/*/*.*") if file.parent.name != "good"]
            parts = images(list(folder.glob("train/good/*"))), images(list(folder.glob("test/good/*"))), images(bad)
            return Case(name, name, *parts)
        case "brain-mri":
            return split(
                name, "brain MRI", list((root / "BrainMRI/no").iterdir()), list((root / "BrainMRI/yes").iterdir())
            )
        case _:
            folder = Path(find_spec("elpv_dataset").origin).parent / "data"  # type: ignore[union-attr, arg-type]
            rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines() if line.strip()]
            chosen = [row for row in rows if f"elpv-{row[2]}" == name]
            by_label = [[folder / row[0] for row in chosen if float(row[1]) == label] for label in (0, 1)]
            return split(name, "solar cell", *by_label)


def split(name: str, noun: str, normal: list[Path], anomalous: list[Path]) -> Case:
    found, bad = distinct(images(normal)), distinct(images(anomalous))
    order = torch.randperm(len(found), generator=generator("split", name)).tolist()
    cut = len(found) * 3 // 4
    good = found.take(sorted(order[cut:]))
    return Case(name, noun, found.take(sorted(order[:cut])), some(good, TESTED, name, 0), some(bad, TESTED, name, 1))


def distinct(found: Images) -> Images:
    """The images without near duplicates of earlier ones (BrainMRI has many), by 16 x 16 grey thumbnails."""
    thumbnails: list[Tensor] = []
    places = []
    for place, image in enumerate(found):
        small = to_tensor(image.convert("L").convert("RGB"), 16)[0]
        if all((small - other).abs().mean() > 0.01 for other in thumbnails):
            thumbnails.append(small)
            places.append(place)
    return found.take(places)


def augmented(references: Tensor, n: int, settings: Preset, seed: int) -> Tensor:
    draws = [generator("augment", seed, i) for i in range(n)]
    chosen = references[[i % len(references) for i in range(n)]]
    return augment_each(chosen, settings.augment, draws)


def floats(found: Images) -> Tensor:
    return found.pixels(SIZE).float() / 255


class Cells:
    """Computes cells and keeps what they share."""

    def __init__(self, root: Path, out: Path, settings: Preset, n: int) -> None:
        self.root, self.out, self.settings, self.n = root, out, settings, n
        self.features = EmbeddedFeatures()
        self.tested: dict[str, tuple[Tensor, Tensor]] = {}

    def patches(self, some: Tensor) -> Tensor:
        return patches(self.features, some, GRID)

    def generated(self, case: Case, references: References, seed: int) -> tuple[Tensor, float]:
        """Images of a pool (up to n: the gate may keep fewer), and the seconds that customizing and drawing took."""
        folder = self.out / f"{case.name}-{len(references.images)}-{seed}"
        begun = time.monotonic()
        model = customize(references, self.settings, folder / "model", seed=seed)
        pool = generate_pool(model, references, self.n, folder / "pool", seed=seed)
        return floats(pool.images), time.monotonic() - begun

    def cell(self, name: str, k: int, seed: int) -> dict[str, Any]:
        """One cell: AUROC of each arm, and the measures of each extra set."""
        path = self.out / f"{name}-{k}-{seed}.json"
        made_with = self.settings.settings() | {"n": self.n, "base": open_parts(self.settings.weights).digest}
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text())
            if found["made_with"] != json.loads(json.dumps(made_with)):
                raise SystemExit(f"{path} was made with other settings; name another --out")
            return found
        case = load_case(name, self.root)
        references = choose(case.normals, k, dataset="gain", category=name, noun=case.noun, seed=seed)
        others = case.normals.take([i for i, n in enumerate(case.normals.names) if n not in references.images.names])
        order = torch.randperm(len(others), generator=generator("others", name, k, seed)).tolist()
        real, held_out = floats(others.take(order[: self.n])), floats(others.take(order[self.n :][:HELD_OUT]))
        pixels = floats(references.images)
        made, seconds = self.generated(case, references, seed)
        n = min(len(made), len(real))
        sets = {"rotations": rotations(pixels, n), "generated": made[:n], "real": real[:n]}
        row = {"category": name, "k": k, "seed": seed, "n": n, "seconds": seconds, "made_with": made_with}
        row |= self.compare(case, pixels, augmented(pixels, n, self.settings, seed), held_out, sets)
        path.write_text(json.dumps(row, indent=1))
        (self.out / f"{name}-{k}-{seed}" / "model" / "tiny.safetensors").unlink(missing_ok=True)
        return row

    def compare(
        self, case: Case, pixels: Tensor, plain: Tensor, held_out: Tensor, sets: dict[str, Tensor]
    ) -> dict[str, Any]:
        if case.name not in self.tested:
            labels = torch.tensor([0] * len(case.good) + [1] * len(case.bad))
            shown = torch.cat([self.patches(floats(case.good)), self.patches(floats(case.bad))])
            self.tested[case.name] = shown, labels
        tested, labels = self.tested[case.name]
        alone = MemoryBank(self.patches(pixels)).distances(tested)
        near = {"none": alone}
        for arm, extra in ({"augmented": plain} | sets).items():
            near[arm] = torch.minimum(alone, MemoryBank(self.patches(extra)).distances(tested))
        near["both"] = torch.minimum(near["augmented"], near["generated"])
        found = measure(sets, plain, pixels, held_out, self.features)
        scores = {arm: near[arm].flatten(1).amax(1) for arm in ARMS}
        auroc = {arm: 100 * float(roc_auc_score(labels, scores[arm])) for arm in ARMS}
        return {"auroc": auroc, "measures": {name: asdict(each) for name, each in found.items()}}


def interval(differences: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of a mean of paired differences."""
    values, rng = np.array(differences), np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (10_000, len(values)))].mean(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def table(rows: list[dict[str, Any]]) -> str:
    """Mean AUROC by category, k and arm; paired differences over seeds by category, and over reporting categories.

    The seeds of one category share test images: the overall interval resamples cells and is too narrow for that.
    """
    lines = []
    for name, k in dict.fromkeys((row["category"], row["k"]) for row in rows):
        cells = [row for row in rows if (row["category"], row["k"]) == (name, k)]
        means = " ".join(f"{arm} {np.mean([c['auroc'][arm] for c in cells]):.1f}" for arm in ARMS)
        lines += [f"{name:10} k={k} seeds={len(cells)}  {means}", *gains(cells)]
    for k in sorted({row["k"] for row in rows}):
        cells = [row for row in rows if row["k"] == k and row["category"] in REPORTING]
        lines += [f"all reporting categories, k={k}, {len(cells)} cells", *(gains(cells) if cells else [])]
    return "\n".join(lines)


def gains(cells: list[dict[str, Any]]) -> list[str]:
    """Mean paired differences with their intervals."""
    lines = []
    for arm, other in (("generated", "none"), ("generated", "augmented"), ("both", "augmented"), ("both", "none")):
        differences = [row["auroc"][arm] - row["auroc"][other] for row in cells]
        low, high = interval(differences)
        lines.append(f"    {arm} - {other}: {np.mean(differences):+.2f} [{low:+.2f}, {high:+.2f}]")
    return lines


def quality_table(rows: list[dict[str, Any]]) -> str:
    """Mean measures by category, k and set."""
    lines = []
    for name, k in dict.fromkeys((row["category"], row["k"]) for row in rows):
        cells = [row["measures"] for row in rows if (row["category"], row["k"]) == (name, k)]
        for arm in ("rotations", "augmented", "generated", "real"):
            mean = {key: np.mean([cell[arm][key] for cell in cells], 0) for key in cells[0][arm]}
            octaves = " ".join(f"{x:.2f}" for x in mean.pop("octaves"))
            numbers = "  ".join(f"{key} {value:.3f}" for key, value in mean.items())
            lines.append(f"{name:10} k={k} {arm:10} {numbers}  octaves {octaves}")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mvtec/, hazelnut_photos/ and BrainMRI/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--categories", nargs="+", default=[*TUNING, *REPORTING])
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings of the preset")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    changes = {name: _value(text) for name, _, text in (pair.partition("=") for pair in asked.set)}
    cells = Cells(asked.data, asked.out, preset("tiny", **{"plain": 0.0} | changes), asked.n)
    rows = []
    for seed in range(asked.seeds):
        for k in asked.shots:
            for name in asked.categories:
                rows.append(cells.cell(name, k, seed))
                print(name, k, seed, {arm: round(x, 1) for arm, x in rows[-1]["auroc"].items()}, flush=True)
    print(table(rows))
    print(quality_table(rows))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
