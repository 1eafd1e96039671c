"""Customize the models and make the pools for One-to-Normal's tables, or estimate the cost.

    python examples/reproduce.py figure-4 --dry-run
    python examples/reproduce.py figure-4 --data MVTEC_ROOT --out runs

Each cell is one `normalgen generate` on a category in MVTec's layout (ROOT/CATEGORY/train/good). Finished cells are
skipped; `--shard i/n` takes every n-th cell, for a job array. docs/reproduce.md is the run-book.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from normalgen.cli import main as normalgen
from normalgen.settings.presets import Preset, preset, steps_made

# Categories and test images of the eleven data sets in InCTRL's and BMAD's splits. MNIST and CIFAR-10: one class
# against all, on 100 normal and 900 anomalous test images per class (the paper does not say).
SETS = {
    "MVTec-AD": (15, 1725),
    "VisA": (12, 2162),
    "KSDD": (1, 340),
    "AITEX": (1, 747),
    "ELPV": (1, 1092),
    "OCT2017": (1, 968),
    "BrainMRI": (1, 180),
    "HeadCT": (1, 125),
    "RESC": (1, 1805),
    "MNIST": (10, 10_000),
    "CIFAR-10": (10, 10_000),
}
# TFLOP of one 512-px image forward through Stable Diffusion 1.5, counted (tests/benchmarks/test_stable_cost.py).
UNET, ENCODE, DECODE = 0.803, 1.117, 2.515
UNET_GB, LORA_GB, IMAGE_GB = 1.72, 0.007, 0.0004
POOL, TWIN = 100, 0.3


@dataclass(frozen=True)
class Study:
    """The sets, shots and prompt sets that a table needs, and whether it needs twins of all test images."""

    what: str
    sets: tuple[str, ...]
    shots: tuple[int, ...]
    prompts: tuple[int, ...]
    twins: bool


STUDIES = {
    "tables-1-3": Study("all sets, 2, 4 and 8 shots", tuple(SETS), (2, 4, 8), (3,), True),
    "table-4": Study("branches, 8 shots", tuple(SETS), (8,), (3,), True),
    "table-5": Study("prompts 1, 3, 5, 10 on MVTec-AD, 8 shots", ("MVTec-AD",), (8,), (1, 3, 5, 10), True),
    "figure-4": Study("pools of 100 for other detectors", ("MVTec-AD", "OCT2017"), (2, 4, 8), (3,), False),
    "timing": Study("one category, one seed", ("BrainMRI",), (4,), (1, 3), True),
}


@dataclass(frozen=True)
class Cost:
    """The cost of a study in models, twins, PFLOP and gigabytes."""

    models: int
    twins: int
    pflop: float
    gigabytes: float


def cost(study: Study, settings: Preset, seeds: int) -> Cost:
    """Return the cost of a study: one model and pool per category, shot and seed, and twins per prompt."""
    categories = sum(SETS[name][0] for name in study.sets)
    models = categories * len(study.shots) * seeds
    tests = sum(SETS[name][1] for name in study.sets)
    twins = tests * sum(study.prompts) * len(study.shots) * seeds if study.twins else 0
    calls = 2 if settings.sample.guidance > 1 else 1
    sampled = settings.sample.steps * calls * UNET + DECODE

    def restored(strength: float) -> float:
        return steps_made(settings.sample.steps, strength) * calls * UNET + ENCODE + DECODE

    passes = 2 + (settings.train.method == "full") + settings.train.checkpointing
    training = settings.train.steps * (settings.train.batch + settings.train.class_batch) * passes * UNET
    pool = POOL * (settings.pool.mix * restored(settings.pool.strength) + (1 - settings.pool.mix) * sampled)
    tflop = models * (training + pool) + categories * settings.train.class_images * sampled + twins * restored(TWIN)
    per_model = (UNET_GB if settings.train.method == "full" else LORA_GB) + POOL * IMAGE_GB
    return Cost(models, twins, tflop / 1000, models * per_model)


def table(names: list[str], settings: Preset, seeds: int, rate: float) -> str:
    lines = ["| study | what | models | twins | PFLOP | GPU hours | GB |", "|---|---|---|---|---|---|---|"]
    for name in names:
        needs = cost(STUDIES[name], settings, seeds)
        hours = needs.pflop * 1000 / rate / 3600
        lines.append(
            f"| {name} | {STUDIES[name].what} | {needs.models} | {needs.twins:,} | {needs.pflop:,.0f} | {hours:,.1f} | "
            f"{needs.gigabytes:,.0f} |"
        )
    return "\n".join(lines)


def cells(study: Study, data: Path, seeds: int) -> list[tuple[str, int, int]]:
    """Return category, shots and seed of each cell whose category is in `data`."""
    categories = sorted(path.parent.parent.name for path in data.glob("*/train/good"))
    return [(name, k, seed) for seed in range(seeds) for k in study.shots for name in categories]


def generate(cell: tuple[str, int, int], asked: argparse.Namespace, more: list[str]) -> None:
    category, k, seed = cell
    name = f"{category}-{k}-{seed}"
    words = ["generate", "--category", category, "--data", str(asked.data), "-k", str(k), "--seed", str(seed)]
    words += ["-n", str(asked.n), "--preset", asked.preset, "--model", str(asked.out / "models" / name)]
    words += ["--out", str(asked.out / "pools" / name), *more]
    print("normalgen", *words, flush=True)
    try:
        normalgen(words)
    except SystemExit as end:
        if end.code:
            raise


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and those passed on to `normalgen generate`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "all"])
    parser.add_argument("--data", type=Path, help="root of categories in MVTec's layout")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--preset", default="paper", help="paper, sd15 or tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-n", type=int, default=POOL)
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th cell")
    parser.add_argument("--dry-run", action="store_true", help="print cost and disk space, and stop")
    parser.add_argument("--rate", type=float, default=300, help="TFLOP/s that the GPU sustains, to estimate hours")
    return parser.parse_known_args()


def main() -> None:
    asked, more = arguments()
    names = list(STUDIES) if asked.study == "all" else [asked.study]
    if asked.dry_run:
        print(f"preset {asked.preset}, {asked.seeds} seeds, at {asked.rate:g} TFLOP/s sustained:")
        print(table(names, preset(asked.preset), asked.seeds, asked.rate))
        return
    if asked.data is None:
        sys.exit("error: name the root of the categories with --data, or estimate the cost with --dry-run")
    number, count = map(int, asked.shard.split("/"))
    todo = list(dict.fromkeys(cell for name in names for cell in cells(STUDIES[name], asked.data, asked.seeds)))
    if not todo:
        sys.exit(f"error: {asked.data} holds no CATEGORY/train/good")
    for cell in todo[number - 1 :: count]:
        generate(cell, asked, more)


if __name__ == "__main__":
    main()
