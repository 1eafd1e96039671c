"""normalgen detect."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from normalgen.cli import detect_summary, inputs
from normalgen.detectors.specs import DETECTORS
from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.progress import progress_bars
from normalgen.io.run_folder import refuse_foreign
from normalgen.pipeline.choosing import DEFAULT, check_flags, default_detector, named_detector, saved_folder
from normalgen.settings.presets import preset as make_preset

if TYPE_CHECKING:
    from normalgen.detectors.base import JudgingDetector
    from normalgen.detectors.self_test import Proxy
    from normalgen.references import References

HIGHEST_RATE, DRAWN = 0.5, 2048
DETECTOR = "Detector"

OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for the results; it replaces those of an earlier run. Default: detections/CATEGORY.",
    ),
]
SaveMaps = Annotated[
    bool,
    typer.Option(
        "--save-maps",
        help="Also write each raw anomaly map: maps/NAME.npy, float32, at the detector's resolution.",
    ),
]
MapSize = Annotated[
    int,
    typer.Option(
        "--map-size",
        min=0,
        help="Longer side, in pixels, of the maps drawn over photos, at most. 0: as large as the photos.",
    ),
]
PoolPath = Annotated[
    Path | None,
    typer.Option("--pool", help="Pool to add to the bank; default: pools/CATEGORY, made if it does not exist."),
]
Count = Annotated[
    int,
    typer.Option(
        "-n",
        min=0,
        help="Images in the pool; a larger existing pool is used in full. 0: no pool. With --unlabeled there is room "
        "for all photos that are kept, up to 256.",
    ),
]
FeaturesName = Annotated[
    str,
    typer.Option(
        "--features",
        help="What the detector looks with: embedded (default for preset tiny: a vision transformer, extra vit, and a "
        "CNN), vit, cnn (fast), dinov2[:FILE], clip[:NAME[:WEIGHTS]] (default otherwise) or timm:NAME[:FILE].",
        rich_help_panel=DETECTOR,
    ),
]
BranchNames = Annotated[
    str,
    typer.Option("--branches", help="Any of p (twin), n (bank), text; comma-separated.", rich_help_panel=DETECTOR),
]
FusionName = Annotated[
    Literal["calibrated", "paper"] | None,
    typer.Option(
        "--fusion",
        help="calibrated adds deviations from normal; paper, the default for preset paper, adds raw scores.",
        rich_help_panel=DETECTOR,
    ),
]
ChoiceName = Annotated[
    Literal["ssim", "mean", "min_map"],
    typer.Option(
        "--choice",
        help="With several --prompts: ssim compares the query with its most similar twin; mean and min_map compare it "
        "with all twins and take the mean or the least distance.",
        rich_help_panel=inputs.TWINS,
    ),
]
TextFile = Annotated[
    str,
    typer.Option(
        "--text", help="File of text maps for the branch text, from normalgen train-text.", rich_help_panel=DETECTOR
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
        help="Folder of more good photos, none of them a reference, for reliable verdicts: at least 1 / rate - 1 "
        "photos, so 19 for 0.05, 49 for 0.02.",
    ),
]
SelfTest = Annotated[
    bool, typer.Option("--self-test", help="Also measure a proxy AUROC on references with and without drawn defects.")
]
DetectorName = Annotated[
    str | None,
    typer.Option(
        "--detector",
        help=f"{', '.join(DETECTORS)}, or your own as module:Class; settings go in brackets: memory\\[grid=32]. Or the "
        "folder of a fitted detector from --save: nothing is fitted again. Default: one-to-normal.",
    ),
]
Save = Annotated[Path | None, typer.Option("--save", help="Folder to save the fitted detector in, for --detector.")]


def detect(
    context: typer.Context,
    queries: inputs.QueriesPath,
    references: inputs.ReferenceFolder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    tile: inputs.Tile = 0,
    size: inputs.Size = None,
    out: OutFolder = None,
    save_maps: SaveMaps = False,
    map_size: MapSize = DRAWN,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    training_steps: inputs.TrainingSteps = None,
    augment: inputs.AugmentName = None,
    pool: PoolPath = None,
    n: Count = 24,
    gate_features: inputs.GateFeatures = None,
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
    normal: inputs.NormalNames = None,
    anomalous: inputs.AnomalousNames = None,
    self_test: SelfTest = False,
    detector: DetectorName = None,
    save: Save = None,
    unlabeled: inputs.Unlabeled = None,
    contamination: inputs.Contamination = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Find anomalies in photos, given only a few normal photos (One-to-Normal, or another --detector).

    It compares each query with its normal twin and with a bank of normal images.
    It makes the model and the pool first, unless they exist or are not needed.

    normalgen detect ./mixed --references ./good

    normalgen detect MVTEC_ROOT/screw/test --category screw --data MVTEC_ROOT

    normalgen detect ./mixed --references ./good --calibrate ./more_good --rate 0.02

    normalgen detect ./mixed --references ./good --save bracket-detector

    normalgen detect ./tomorrow --detector bracket-detector

    normalgen detect ./mixed --references ./good --detector memory

    normalgen detect ./large --references ./good --tile 512
    """
    sys.path.insert(0, str(Path.cwd()))  # for the user's own detector
    fitted = None if detector is None else saved_folder(detector)
    check_flags(detector or DEFAULT, fitted, {name for name in context.params if _is_typed(context, name)})
    asked: Mapping[str, Any] = inputs.settings_in(context.params, "train", "twins") | {
        "pool": {"gate_features": gate_features}
    }
    make_preset(preset, **asked)
    inputs.check_queries(queries)
    inputs.check_unlabeled(unlabeled, contamination)
    labels = inputs.label_names(normal, anomalous)
    inputs.check_there(calibrate, f"--calibrate: {calibrate} does not exist; name a folder of normal images")
    chosen = None
    if fitted is None or references or category:
        chosen = inputs.references_in(context.params, references)
    elif self_test:
        raise DataError("--self-test draws defects on the references; also name their folder with --references")
    from normalgen.detectors.own_detector import OwnDetector
    from normalgen.images.listing import note_skipped
    from normalgen.pipeline.detect import detect as find_anomalies

    if save is not None:
        from normalgen.detectors.one_to_normal.saved_detector import FILES

        refuse_foreign(save, FILES)
    note_skipped(calibrate)
    names = tuple(name.strip() for name in branches.split(",") if name.strip())
    default = default_detector(
        preset,
        features=features,
        branches=names,
        fusion=fusion,
        text=text,
        choice=choice,
        size=size or 0,
        seed=seed,
        device=pick_device(device),
    )
    used: JudgingDetector | Path = fitted or default
    if detector is not None and fitted is None:
        used, asked = named_detector(detector, asked, default, features=features, size=size or 0)
    if isinstance(used, OwnDetector) and (save or self_test):
        raise DataError(f"only detectors of normalgen take --save and --self-test, not {used.name}; leave them out")
    detection = find_anomalies(
        queries,
        chosen,
        out,
        detector=used,
        pool=pool,
        n=n,
        model=model,
        preset=preset,
        settings=asked,
        unlabeled=unlabeled,
        contamination=contamination,
        calibrate=calibrate,
        rate=rate,
        labels=labels,
        save_maps=save_maps,
        map_size=map_size,
        seed=seed,
        device=device,
    )
    proxy = _proxy(detection.detector, chosen, seed) if self_test and chosen else None
    if save is not None:
        detection.detector.save(save)
    detect_summary.show(detection)
    if proxy is not None and chosen is not None:
        detect_summary.show_proxy(proxy, len(chosen.images))
    if detection.run.errors:
        raise typer.Exit(1)


def _is_typed(context: typer.Context, name: str) -> bool:
    """Return whether the option was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _proxy(detector: "JudgingDetector", references: "References", seed: int) -> "Proxy":
    from normalgen.detectors.self_test import self_test as test_itself

    with progress_bars() as watch:
        return test_itself(detector, references, seed=seed, watch=watch)
