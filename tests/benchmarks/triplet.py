"""How well each branch of One-to-Normal tells anomalous images, with its control arms. One JSON a cell, resumable.

    p, n, fused        the detector's, calibrated and as the paper adds them
    blur               S_P with a blurred query in the place of the twin
    prior              S_P with the twin of the un-customized prior
    inside / outside   mean change from query to twin inside and outside the defect's mask; and pixel AUROC of S_P

`screw` and `hazelnut` are for choosing settings; the others are for reporting and choose nothing.

    python tests/benchmarks/triplet.py --data ROOT --out DIR --categories hazelnut --shots 4 --seeds 1
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Literal

import torch
from cases import TUNING, besides, by_label, find
from skimage.filters import gaussian
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.customizing.dreambooth import fine_tune
from normalgen.customizing.saved_models import is_customized
from normalgen.data.category import Category
from normalgen.data.manifest import read_manifest
from normalgen.detectors.base import Explanation
from normalgen.detectors.conformal import Threshold
from normalgen.detectors.metrics import image_ap, image_auroc
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.one_to_normal.triplet import image_scores, twin_maps
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.references import References, choose, from_manifest
from normalgen.settings.presets import preset

RATE = 0.1


def blurred(images: Tensor) -> Tensor:
    return torch.from_numpy(gaussian(images.numpy(), (0, 0, 2, 2)))


def masks(category: Category, size: int) -> Tensor | None:
    """Masks (M, size, size) of the anomalous images, where the data set has them."""
    bad = [test for test in category.tests if test.label]
    return None if any(test.mask is None for test in bad) else torch.stack([test.load(size)[1] > 0.5 for test in bad])


def pixel_auroc(maps: Tensor, truth: Tensor) -> float:
    grown = interpolate(maps[:, None], truth.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    return 100 * float(roc_auc_score(truth.flatten().numpy()[::7], grown.flatten().numpy()[::7]))


class Study:
    """One cell: a category, k references, a seed."""

    def __init__(self, category: Category, references: References, model: NormalModel, cache: Path) -> None:
        self.category, self.references, self.model, self.cache = category, references, model, cache
        self.good, self.bad = by_label(category, 0), by_label(category, 1)
        self.queries = Images([*self.good.items, *self.bad.items])
        self.labels = torch.tensor([0] * len(self.good) + [1] * len(self.bad))

    def measured(self, fusion: str, pool: Pool | None) -> tuple[dict[str, Any], list[Explanation], OneToNormal]:
        detector = OneToNormal(model=self.model, fusion=fusion, cache=self.cache)  # type: ignore[arg-type]
        detector.fit(self.references, pool)
        begun = time.monotonic()
        found = list(detector.explain(self.queries))
        seconds = (time.monotonic() - begun) / len(self.queries)
        scores = {name: torch.cat([each.scores[name] for each in found]) for name in found[0].scores}
        row: dict[str, Any] = {name: 100 * image_auroc(self.labels, values) for name, values in scores.items()}
        row["average_precision"] = 100 * image_ap(self.labels, scores["fused"])
        return row | {"weights": detector.settings()["weights"], "seconds": seconds}, found, detector

    def false_alarms(self, detector: OneToNormal) -> dict[str, float]:
        """Share of good test images called anomalous at rate 0.1: approximate, and calibrated on unused good ones."""
        others = besides(self.category, self.references.images)
        others = others.take(range(min(39, len(others))))
        scores = detector.predict(self.good).image_scores
        row = {"good images": float(len(scores)), "calibrated on": float(len(others))}
        kinds: dict[Literal["approximate", "calibrated"], Tensor]
        kinds = {"approximate": detector.left_out, "calibrated": detector.predict(others).image_scores}
        for kind, usual in kinds.items():
            verdicts = Threshold(usual, RATE, kind).verdicts(scores)
            row[kind] = 100 * verdicts.count("anomalous") / len(verdicts)
        return row

    def controls(self, found: list[Explanation], detector: OneToNormal) -> dict[str, float]:
        """Raw S_P (paper's reduction) of the twin, of a blurred query, and of the un-customized prior's twin."""
        fitted = detector._ready()
        queries = torch.cat([each.queries for each in found])
        twins = torch.cat([each.twins for each in found if each.twins is not None])
        base = NormalModel(open_parts(self.model.preset.weights), self.model.preset, category="", noun="")
        base.grey = self.model.grey
        keys, prior = [f"q{i}" for i in range(len(queries))], Personalizer(base, cache=self.cache)
        parts = [prior.of(queries[i : i + 8], keys[i : i + 8]).twins for i in range(0, len(queries), 8)]
        tokens = fitted.branches.tokens(queries)
        row, truth = {}, masks(self.category, queries.shape[-1])
        for name, others in (("twin", twins), ("blur", blurred(queries)), ("prior", torch.cat(parts))):
            maps = twin_maps(tokens, fitted.branches.tokens(others))
            row[name] = 100 * image_auroc(self.labels, image_scores({"p": maps}, "paper", "max")["p"])
            if truth is not None:
                bad = len(self.good)
                grown = [interpolate(level[bad:, None], 32, mode="bilinear")[:, 0] for level in maps]
                row[f"{name} pixel"] = pixel_auroc(torch.stack(grown).mean(0), truth)
        if truth is not None:
            change = (queries - twins).abs().mean(1)[len(self.good) :]
            row["inside / outside"] = float(change[truth].mean() / change[~truth].mean())
        return row


def customized(category: Category, k: int, seed: int, folder: Path) -> tuple[References, NormalModel]:
    """The model in `folder` and the references it was customized on; else one of the shots that the seed draws."""
    if is_customized(folder):
        shots = read_manifest(folder / "references.json")
        return from_manifest(category.normals, shots, category=category.name, noun=category.noun), NormalModel.load(
            folder
        )
    named = {"dataset": category.dataset, "category": category.name, "noun": category.noun}
    references = choose(category.normals, k, **named, seed=seed)
    return references, fine_tune(references, preset("tiny"), folder, seed=seed)


def cell(name: str, k: int, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    path = asked.out / f"{name}-{k}-{seed}.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    category = find(name, asked.data)
    made = asked.made / category.dataset if asked.made else asked.out
    folder = made / f"{category.name}-{k}-{seed}"
    references, model = customized(category, k, seed, folder / "model")
    study = Study(category, references, model, asked.out / "twins")
    pool = Pool.load(folder / "pool") if (folder / "pool" / "metadata.jsonl").is_file() else None
    row: dict[str, Any] = {"category": name, "k": k, "seed": seed, "preset": model.preset.settings()}
    row["calibrated"], seen, detector = study.measured("calibrated", None)
    row["paper"] = study.measured("paper", None)[0]
    if pool is not None:
        row["calibrated, with pool"] = study.measured("calibrated", pool)[0]
    row["controls"] = study.controls(seen, detector)
    row["false alarms"] = study.false_alarms(detector)
    path.write_text(json.dumps(row, indent=1))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mvtec/, hazelnut_photos/ and BrainMRI/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--made", type=Path, help="folder of an evaluation's models and pools, which are taken up")
    parser.add_argument("--categories", nargs="+", default=[*TUNING])
    parser.add_argument("--shots", type=int, nargs="+", default=[2])
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in range(asked.seeds):
        for k in asked.shots:
            for name in asked.categories:
                row = cell(name, k, seed, asked)
                for part in ("calibrated", "calibrated, with pool", "paper", "controls", "false alarms"):
                    numbers = {key: value for key, value in row.get(part, {}).items() if isinstance(value, float)}
                    print(name, k, seed, part, {key: round(value, 2) for key, value in numbers.items()}, flush=True)


if __name__ == "__main__":
    main()
