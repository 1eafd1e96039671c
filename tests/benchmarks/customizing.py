"""Ways of customizing compared, without a label: what `normalgen pool quality` measures of the images they lead to.

Each variant changes settings of the preset `tiny`; its model draws n images from photos (img2img), and with
`--txt2img` n from noise, which no gate judges, beside n augmented photos. One JSON a category, k, seed and variant;
what is there is not made again. Choose by `screw` and `hazelnut` alone.

    python tests/benchmarks/customizing.py --data ROOT --out DIR --variants train.steps=1000 train.rank=8
    python tests/benchmarks/customizing.py --data ROOT --out DIR --categories brain-mri --made evaluation/made
    python tests/benchmarks/customizing.py --table docs/results/choices
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from cases import TUNING, besides, find

from normalgen.customizing.dreambooth import fine_tune
from normalgen.customizing.saved_models import is_customized
from normalgen.data.category import Category
from normalgen.diffusion.model import NormalModel
from normalgen.io.atomic import write_json
from normalgen.pool.generate import fill_pool
from normalgen.quality.comparison import compare
from normalgen.references import References, choose
from normalgen.settings.presets import change, preset

MODES = {"img2img": 1.0, "txt2img": 0.0}
SHOWN = {"distance": ".2f", "coverage": ".2f", "closed": ".3f", "sharpness": ".2f", "seam": ".2f"}


def settings(variant: str) -> dict[str, Any]:
    """`size=value,train.steps=value` as changes of a preset."""
    changes: dict[str, Any] = {}
    for part in (part for part in variant.split(",") if part):
        name, _, text = part.partition("=")
        group, _, inner = name.rpartition(".")
        (changes.setdefault(group, {}) if group else changes)[inner] = _value(text)
    return changes


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def measured(
    category: Category, references: References, model: NormalModel, modes: list[str], n: int, seed: int
) -> dict[str, Any]:
    """The measures of n images by mode, and of n augmented photos."""
    size, sets = model.preset.size, {}
    for mode in modes:
        drawing = model.using(change(model.preset, pool={"plain": 0.0, "mix": MODES[mode], "gate": False}))
        with TemporaryDirectory() as folder:
            pool = fill_pool(drawing, references, n, Path(folder) / "pool", seed=seed)
            sets[mode] = pool.images.pixels(size).float() / 255
    others, augment = besides(category, references.images), model.preset.augment
    found = compare(sets, references.images, others, size=size, augment=augment, most=n, seed=seed)
    return {name: asdict(each) for name, each in found.items()}


def cell(name: str, variant: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    folder = asked.out / f"{name}-{asked.k}-{seed}-{variant or 'tiny'}"
    path = folder.with_name(f"{folder.name}.json")
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    category = find(name, asked.data)
    named = {"dataset": category.dataset, "category": category.name, "noun": category.noun}
    references = choose(category.normals, asked.k, **named, seed=seed)
    begun = time.process_time()
    made = asked.made / category.dataset / f"{category.name}-{asked.k}-{seed}" / "model" if asked.made else folder
    if asked.made and not is_customized(made):
        raise SystemExit(f"{made} holds no model; --made is the folder `made` of an evaluation")
    model = fine_tune(references, preset("tiny", **settings(variant)), made, seed=seed)
    row: dict[str, Any] = {"category": name, "k": asked.k, "seed": seed, "variant": variant, "n": asked.n}
    row["cpu_seconds"] = round(time.process_time() - begun, 1)
    row["measures"] = measured(category, references, model, asked.modes, asked.n, seed)
    write_json(path, row)
    return row


def show(row: dict[str, Any]) -> None:
    plain = row["measures"]["augmented"]
    print(f"{row['category']} k={row['k']} seed={row['seed']} {row['variant'] or 'tiny'} ({row['cpu_seconds']:.0f} s)")
    for mode, found in row["measures"].items():
        numbers = {name: found[name] for name in ("nearer", "closed", "sharpness", "seam")}
        numbers = {"distance / augmented's": found["patch_distance"] / plain["patch_distance"]} | numbers
        print(
            f"    {mode:9}", *(f"{name} {value:.3f}" for name, value in numbers.items()), found["octaves"], flush=True
        )


def table(folder: Path) -> list[str]:
    """The cells in `folder` as a Markdown table: means over seeds, beside those of `tiny` over the same seeds."""
    cells = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    heads = ["category", "k", "seeds", "variant", "images", *SHOWN]
    rows = [heads, ["---"] * len(heads)]
    for name, k in sorted({(row["category"], row["k"]) for row in cells}):
        seeds: dict[str, dict[int, Any]] = {}
        for row in cells:
            if (row["category"], row["k"]) == (name, k):
                seeds.setdefault(row["variant"], {})[row["seed"]] = row["measures"]
        for some in sorted({tuple(sorted(own)) for own in seeds.values()}, key=len, reverse=True):
            held = {variant: own for variant, own in seeds.items() if tuple(sorted(own)) == some}
            held |= {"": seeds[""]} if set(some) <= seeds.get("", {}).keys() else {}
            place = [name, str(k), ",".join(map(str, some))]
            for variant, own in sorted(held.items()):
                every = [own[seed] for seed in some]
                for mode in (mode for mode in every[0] if mode != "augmented" or not variant):
                    rows.append([*place, variant or "tiny", mode, *_means(every, mode)])
    return [f"| {' | '.join(row)} |" for row in rows]


def _means(every: list[dict[str, Any]], mode: str) -> list[str]:
    found = [
        {"distance": own[mode]["patch_distance"] / own["augmented"]["patch_distance"], "coverage": own[mode]["nearer"]}
        | own[mode]
        for own in every
    ]
    return [f"{fmean(each[number] for each in found):{digits}}" for number, digits in SHOWN.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(), help="folder with mvtec/, hazelnut_photos/ and BrainMRI/")
    parser.add_argument("--out", type=Path, default=Path("customizing"))
    parser.add_argument("--categories", nargs="+", default=[*TUNING])
    parser.add_argument("--variants", nargs="+", default=[""], metavar="NAME=VALUE,...")
    parser.add_argument("-k", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--txt2img", dest="modes", action="store_const", const=[*MODES], default=["img2img"])
    parser.add_argument("--made", type=Path, help="folder of an evaluation's models, which are taken up")
    parser.add_argument("--table", type=Path, metavar="DIR", help="measure nothing; what is in DIR as Markdown")
    asked = parser.parse_args()
    if asked.table:
        print("\n".join(table(asked.table)))
        return
    for seed in range(asked.seeds):
        for name in asked.categories:
            for variant in asked.variants:
                show(cell(name, variant, seed, asked))


if __name__ == "__main__":
    main()
