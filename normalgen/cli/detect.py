"""normalgen detect."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from normalgen.cli import detect_summary as found
from normalgen.cli import inputs
from normalgen.cli.checks import need, need_apart, need_queries
from normalgen.cli.photos import QUERY_DEPTH, references_from, tell_of_left_out
from normalgen.cli.ready import (
    HIGHEST_RATE,
    Preparation,
    open_detector,
    open_threshold,
    pool_folder,
    unmeasured,
    unused_photos,
)
from normalgen.cli.show import going_on, progress
from normalgen.settings.presets import preset as make_preset

DETECTOR = "Detector"

ReferenceFolder = Annotated[
    Path | None,
    typer.Option(
        "--references", help="Folder of normal photos, instead of --category's.", rich_help_panel=inputs.WHICH
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the results; an earlier run's give way. Default: detections/CATEGORY."),
]
SaveMaps = Annotated[
    bool,
    typer.Option(
        "--save-maps",
        help="Also write each anomaly map as it is: maps/NAME.npy, float32, at the detector's resolution.",
    ),
]
PoolPath = Annotated[
    Path | None,
    typer.Option("--pool", help="The pool that joins the bank; default: pools/CATEGORY, made if need be."),
]
Count = Annotated[
    int,
    typer.Option("-n", min=0, help="Images in a pool made on the way; a larger one is taken whole. 0: no pool."),
]
FeaturesName = Annotated[
    str,
    typer.Option("--features", help="embedded, clip[:NAME[:WEIGHTS]] or timm:NAME[:FILE].", rich_help_panel=DETECTOR),
]
BranchNames = Annotated[
    str, typer.Option("--branches", help="Of p (twin), n (bank), text; such as p,n.", rich_help_panel=DETECTOR)
]
FusionName = Annotated[
    Literal["calibrated", "paper"] | None,
    typer.Option(
        "--fusion", help="Add deviations from normal, or raw scores as the paper does.", rich_help_panel=DETECTOR
    ),
]
ChoiceName = Annotated[
    Literal["ssim", "mean", "min_map"],
    typer.Option(
        "--choice",
        help="With several --prompts: compare with the candidate most like the query, or with all, by their mean or "
        "least distance.",
        rich_help_panel=inputs.TWINS,
    ),
]
TextFile = Annotated[
    str,
    typer.Option(
        "--text", help="Text maps, made by normalgen train-text, for the branch text.", rich_help_panel=DETECTOR
    ),
]
Rate = Annotated[
    float,
    typer.Option("--rate", min=0.0001, max=HIGHEST_RATE, help="Share of good parts that may be called anomalous."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        help="Folder of more good photos, none of them a reference: makes verdicts sound. At least 1 / rate - 1 of "
        "them: 19 for 0.05, 49 for 0.02.",
    ),
]
SelfTest = Annotated[
    bool, typer.Option("--self-test", help="Also measure a proxy AUROC on references with drawn defects.")
]


def detect(
    queries: inputs.QueriesPath,
    references: ReferenceFolder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    out: OutFolder = None,
    save_maps: SaveMaps = False,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    training_steps: inputs.TrainingSteps = None,
    augment: inputs.AugmentName = None,
    pool: PoolPath = None,
    n: Count = 24,
    features: FeaturesName = "",
    branches: BranchNames = "p,n",
    fusion: FusionName = None,
    text: TextFile = "",
    prompts: inputs.TwinPrompts = None,
    strength: inputs.TwinStrength = None,
    steps: inputs.TwinSteps = None,
    choice: ChoiceName = "ssim",
    rate: Rate = 0.05,
    calibrate: Calibrate = None,
    self_test: SelfTest = False,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Find anomalies in photos with a few normal ones alone: One-to-Normal.

    Each query is compared with its normal twin and with a bank of normal images. The model and the pool are made first,
    unless they are there.

    normalgen detect ./mixed --references ./good

    normalgen detect MVTEC_ROOT/screw/test --category screw --data MVTEC_ROOT

    normalgen detect ./mixed --references ./good --calibrate ./more_good --rate 0.02
    """
    twins = {"prompts": prompts, "strength": strength, "steps": steps}
    trained = {"weights": weights, "train": {"steps": training_steps}, "augment": augment}
    settings = make_preset(preset, **trained)
    need_queries(queries)
    need(calibrate, f"--calibrate: {calibrate} does not exist; name a folder of normal images")
    chosen = references_from(references, category, data, noun, k, manifest, crop, seed)
    tell_of_left_out(queries, QUERY_DEPTH)
    tell_of_left_out(calibrate)
    from normalgen.data.queries import find_queries

    asked = unmeasured(find_queries(queries, chosen.images.crop), chosen)
    customized, bank = model or Path("models") / chosen.category, pool_folder(pool, chosen.category)
    unused = None if calibrate is None else unused_photos(calibrate, chosen, asked, [customized, bank], rate)
    from normalgen.detectors.self_test import self_test as test_itself
    from normalgen.io.outputs import see_free
    from normalgen.report.detection_run import MADE_BY
    from normalgen.report.detection_run import detect as run_detection

    where = inputs.pick_device(device)
    detector = open_detector(preset, features, branches, fusion, text, choice, seed, where)
    folder = out or Path("detections") / chosen.category
    need_apart(queries, folder)
    see_free(folder, MADE_BY)
    maker = Preparation(chosen, settings, trained, seed, where, customized, twins)
    title = f"{chosen.category}: {len(asked.images)} photos"
    with going_on(), progress() as watch:
        joining = None
        if "n" in detector.branches:
            joining = maker.given_pool(bank) if pool else maker.pool(bank, n, watch)
        maker.fit(detector, joining, watch, renamed=noun is not None)
        threshold = open_threshold(detector, unused, rate)
        run = run_detection(detector, asked, threshold, folder, title=title, save_maps=save_maps, watch=watch)
        proxy = test_itself(detector, chosen, seed=seed, watch=watch) if self_test else None
    found.tell_of_worst(run)
    found.tell_of_method(run, detector, threshold)
    if proxy is not None:
        found.tell_of_proxy(proxy, len(chosen.images))
    found.tell_of_files(run, folder)
    if run.errors:
        raise typer.Exit(1)
