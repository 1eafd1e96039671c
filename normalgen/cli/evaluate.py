"""normalgen evaluate."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say
from normalgen.cli.workers import run_together
from normalgen.detectors.specs import DETECTORS, detector_path, split_list
from normalgen.evaluation.studies import STUDIES, TIERS
from normalgen.io.devices import pick_device
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from normalgen.data.category import Category
    from normalgen.evaluation.protocol import Plan
    from normalgen.pool.workers import Shard

HOW = "How"
Datasets = Annotated[str, typer.Option("--dataset", help="Data sets, comma-separated; see: normalgen data list.")]
Categories = Annotated[str | None, typer.Option("--categories", help="Only these categories, comma-separated.")]
Detectors = Annotated[
    str | None,
    typer.Option(
        "--detectors",
        help=f"Comma-separated: {', '.join(DETECTORS)}, or your own as module:Class. Settings go in brackets: "
        "memory\\[grid=32]. Default: one-to-normal,memory.",
    ),
]
Arms = Annotated[
    str | None,
    typer.Option(
        "--arms",
        help="What to add to the references, comma-separated: none, rotations, augmented, generated, both, real, "
        "no-twins, wrong, poisoned, unpoisoned, unlabeled, unlabeled-blind, unlabeled-softpatch, unlabeled-oracle; "
        "real:8 adds 8 images instead of -n; unlabeled:24@0.1 screens 24, a tenth of them anomalous. Default: "
        "none,rotations,augmented,generated,both.",
    ),
]
Shots = Annotated[str | None, typer.Option("--shots", help="Numbers of references, comma-separated; default: 2,4,8.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many times to choose references; default: 5.")]
Count = Annotated[int, typer.Option("-n", min=1, help="How many images an arm adds to the references.")]
StudyName = Annotated[
    str | None, typer.Option("--study", help=f"Detectors and arms for one question: {', '.join(STUDIES)}.")
]
TierName = Annotated[
    str | None,
    typer.Option(
        "--tier",
        help=f"Shots, seeds and test images by name: {', '.join(TIERS)} (1 category, 2 shots, 1 seed, 40 test images; "
        "4 shots, 1 seed; 2, 4, 8 shots, 5 seeds).",
    ),
]
Tests = Annotated[int | None, typer.Option("--tests", min=0, help="Most test images per category; 0: all.")]
Tuning = Annotated[bool, typer.Option("--tuning", help="Mark the results: settings were chosen on this data.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for cells, models, pools and caches.")]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, help="How many processes share the cores.", rich_help_panel=HOW),
]
ShardText = Annotated[
    str | None, typer.Option("--shard", help="i/n: measure only this share of the setups.", rich_help_panel=HOW)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Estimate cells, hours and disk space only.", rich_help_panel=HOW),
]


def evaluate(
    dataset: Datasets,
    data: inputs.Data = None,
    categories: Categories = None,
    detectors: Detectors = None,
    arms: Arms = None,
    shots: Shots = None,
    seeds: Seeds = None,
    n: Count = 32,
    study: StudyName = None,
    tier: TierName = None,
    tests: Tests = None,
    tuning: Tuning = False,
    preset_name: inputs.PresetName = "tiny",
    training_steps: inputs.TrainingSteps = None,
    weights: inputs.Weights = None,
    augment: inputs.AugmentName = None,
    strength: inputs.Strength = None,
    gate: inputs.GateSwitch = None,
    gate_features: inputs.GateFeatures = None,
    normal: inputs.NormalNames = None,
    anomalous: inputs.AnomalousNames = None,
    out: OutFolder = Path("evaluation"),
    jobs: Jobs = 1,
    shard: ShardText = None,
    dry_run: DryRun = False,
    device: inputs.DeviceName = "auto",
) -> None:
    """Measure detectors with and without pools on labelled data sets, paired on the same references and seeds.

    normalgen evaluate --dataset elpv --shots 2,4,8 --seeds 5 --jobs 2 --out evaluation

    It writes one JSON file per cell. Stop it at any time; the same command
    resumes. Then: normalgen results evaluation
    """
    sys.path.insert(0, str(Path.cwd()))  # for the user's own detector
    from normalgen.data.registry import find_dataset

    for name in filter(None, (part.strip() for part in dataset.split(","))):
        find_dataset(name)  # before torch is loaded, to fail fast on a wrong name
    for text in split_list(detectors or ""):
        detector_path(text)
    from normalgen.evaluation.request import ask
    from normalgen.evaluation.run import check
    from normalgen.pool.workers import Shard
    from normalgen.settings.presets import preset

    changes = {"weights": weights, "augment": augment, "train": {"steps": training_steps}}
    plan = ask(
        dataset,
        data,
        preset(preset_name, **changes, pool={"strength": strength, "gate": gate, "gate_features": gate_features}),
        categories=categories,
        detectors=detectors,
        arms=arms,
        shots=shots,
        seeds=seeds,
        tests=tests,
        study=study,
        tier=tier,
        n=n,
        tuning=tuning,
        device=pick_device(device),
        said=inputs.label_names(normal, anomalous),
    )
    share = Shard.parse(shard) if shard else None
    check(plan, out)
    _announce(plan, out, share)
    if dry_run:
        return
    if jobs > 1:
        _run_jobs(jobs)
    else:
        _run(plan, out, share)
    say(f"cells: {out / 'cells'}; tables and figures: normalgen results {out}")


def _announce(plan: "Plan", out: Path, shard: "Shard | None") -> None:
    from normalgen.data.registry import departures
    from normalgen.evaluation.estimate import estimate

    for category in plan.categories:
        lines = departures(category, fewer_tests=0 < plan.tests <= len(category.tests))
        for line in [*lines, *_looked_at(category, plan.preset.size)]:
            note(f"{category.dataset}/{category.name}: {line}")
    if plan.tests:
        note(f"at most {plan.tests} test images per category are measured (--tests 0 for all)")
    seen = estimate(plan, out, shard)
    basis = "from finished cells" if seen.calibrated else "one process on a two-core machine"
    left = f"time unknown until a cell of preset {plan.preset.name} is finished"
    if seen.hours is not None:
        time = f"{seen.hours:.1f} hours" if seen.hours >= 1 else f"{60 * seen.hours:.0f} minutes"
        left = f"about {time} left ({basis})"
    large = seen.megabytes >= 1000
    disk = f"{seen.megabytes / 1000:.1f} GB" if large else f"{max(1, round(seen.megabytes))} MB"
    say(
        f"{seen.cells} cells in {seen.setups} setups (category, shots, seed), {seen.done} done; {left}, about {disk} "
        "on disk"
    )


def _looked_at(category: "Category", size: int) -> list[str]:
    """Return what the folders were taken for, what the masks lack, and what is too small to be seen at `size` px."""
    from normalgen.data.labels import describe
    from normalgen.data.mask_check import check_masks
    from normalgen.images.peek import lost_detail, smallest_detail

    with progress_bars() as watch:
        checked = check_masks(category.tests, watch=watch, stage=f"check masks of {category.name}")
    labels = describe(category.folders)
    hidden = lost_detail(smallest_detail(category.queries.items, None, size), size)
    return [*filter(None, [labels, hidden]), *checked.lines]


def _run(plan: "Plan", out: Path, shard: "Shard | None") -> None:
    from normalgen.evaluation.run import evaluate as measure

    def tell(row: dict[str, Any]) -> None:
        cell, seconds = row["cell"], row["seconds"]
        where = f"{cell['category']} {cell['k']} shots seed {cell['seed']}  {cell['detector']} {cell['arm']}"
        value = row["metrics"]["image_auroc"]
        auroc = "unknown" if value is None else f"{100 * value:.1f}"
        say(f"{where}  AUROC {auroc}  ({seconds['fit'] + seconds['predict']:.0f} s)")

    with progress_bars() as watch:
        measure(plan, out, shard=shard, watch=watch, tell=tell)


def _run_jobs(jobs: int) -> None:
    """Run the same command `jobs` times at once; each setup is measured by one of them."""
    words = [*sys.argv[1:], "--jobs", "1"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    given = {f"job {number}": words for number in range(1, jobs + 1)}
    run_together(given, {"OMP_NUM_THREADS": threads})
