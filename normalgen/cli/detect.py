"""normalgen detect."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from normalgen.cli import inputs
from normalgen.cli.ready import Making, open_threshold, pool_folder, unused_photos
from normalgen.cli.show import going_on, note, progress, say, table
from normalgen.presets import preset as make_preset

if TYPE_CHECKING:
    from normalgen.detection import Run
    from normalgen.one_to_normal import OneToNormal
    from normalgen.references import References
    from normalgen.threshold import Threshold

DETECTOR = "Detector"
WORST = 10

ReferenceFolder = Annotated[
    Path | None,
    typer.Option(
        "--references", help="Folder of normal photos, instead of --category's.", rich_help_panel=inputs.WHICH
    ),
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
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: detections/CATEGORY.")] = None,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    training_steps: inputs.TrainingSteps = None,
    pool: Annotated[
        Path | None,
        typer.Option("--pool", help="The pool that joins the bank; default: pools/CATEGORY, made if need be."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Images in a pool that is made on the way; 0: no pool.")] = 24,
    features: Annotated[
        str,
        typer.Option(help="embedded, clip[:NAME[:WEIGHTS]] or timm:NAME[:FILE].", rich_help_panel=DETECTOR),
    ] = "",
    branches: Annotated[
        str, typer.Option(help="Of p (twin), n (bank), text; such as p,n.", rich_help_panel=DETECTOR)
    ] = "p,n",
    fusion: Annotated[
        Literal["calibrated", "paper"] | None,
        typer.Option(help="Add deviations from normal, or raw scores as the paper does.", rich_help_panel=DETECTOR),
    ] = None,
    text: Annotated[
        str,
        typer.Option(help="Text maps, made by normalgen train-text, for the branch text.", rich_help_panel=DETECTOR),
    ] = "",
    prompts: inputs.TwinPrompts = None,
    strength: inputs.TwinStrength = None,
    steps: inputs.TwinSteps = None,
    rate: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of good parts that may be called anomalous.")
    ] = 0.05,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Folder of more good photos, none of them a reference: makes verdicts sound. At least 1 / rate - 1 of "
            "them: 19 for 0.05, 49 for 0.02."
        ),
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Also measure a proxy AUROC on references with drawn defects.")
    ] = False,
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
    from normalgen.detection import detect as run_detection
    from normalgen.one_to_normal import OneToNormal
    from normalgen.queries import find_queries

    changes = {"twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    settings = make_preset(preset, weights=weights, training_steps=training_steps, **changes)
    chosen = inputs.references_from(references, category, data, noun, k, manifest, crop, seed)
    found = find_queries(queries, chosen.images.crop)
    unused = None if calibrate is None else unused_photos(calibrate, chosen, rate)
    bank_folder = pool_folder(pool, chosen.category)
    where = inputs.pick_device(device)
    paper = preset == "paper"
    detector = OneToNormal(
        features=features or ("clip" if preset != "tiny" else "embedded"),
        branches=tuple(part.strip() for part in branches.split(",") if part.strip()),
        fusion=fusion or ("paper" if paper else "calibrated"),
        bank=30 if paper else 0,
        text=text,
        seed=seed,
        device=where,
        cache=inputs.cache("twins"),
    )
    detector.check()
    folder = out or Path("detections") / chosen.category
    with going_on(), progress() as watch:
        maker = Making(chosen, settings, seed, where, model or Path("models") / chosen.category)
        ready = maker.model(watch) if "p" in detector.branches else None
        bank = maker.pool(bank_folder, n, watch) if "n" in detector.branches else None
        watch("learn normal", 0, 1)
        named = replace(chosen, noun=ready.noun) if ready and noun is None else chosen
        detector.fit(named, bank, ready.using(maker.twins(ready)) if ready else None)
        watch("learn normal", 1, 1)
        threshold = open_threshold(detector, unused, rate)
        run = run_detection(
            detector, found, threshold, folder, title=f"{chosen.category}: {len(found.images)} photos", watch=watch
        )
        proxy = _proxy(detector, chosen, seed, watch) if self_test else []
    _tell(run, detector, threshold, folder, proxy)
    if run.errors:
        raise typer.Exit(1)


def _proxy(detector: "OneToNormal", references: "References", seed: int, watch: Any) -> list[str]:
    from normalgen.self_test import self_test

    found = self_test(detector, references, seed=seed, watch=watch)
    overall = ", ".join(f"{name} {value:.3f}" for name, value in found.overall.items())
    kinds = ", ".join(f"{name} {value:.3f}" for name, value in found.by_kind.items())
    lines = [
        f"self-test on {found.images} augmented references with and without drawn defects (a proxy, no real defects):",
        f"  AUROC by branch: {overall}",
        f"  fused, by kind:  {kinds}",
    ]
    if len(references.images) == 1:
        lines.append("  with one reference its own augmentations stand in for other good parts: expect less")
    return lines


def _tell(run: "Run", detector: "OneToNormal", threshold: "Threshold", folder: Path, proxy: list[str]) -> None:
    worst = [each for each in run.results if not each.error][:WORST]
    heads = ["rank", "score", *(worst[0].scores or {}), "verdict", "label", "file"]
    rows = [
        [
            str(each.rank),
            f"{each.score:.3f}",
            *(f"{value:.3f}" for value in (each.scores or {}).values()),
            each.verdict or "-",
            each.label or "-",
            each.file,
        ]
        for each in worst
    ]
    say(table(heads, rows))
    left = len(run.results) - len(run.errors) - len(worst)
    if left > 0:
        say(f"... and {left} more")
    settings = detector.settings()
    say(
        f"branches {','.join(detector.branches)}, {detector.features} features, {detector.fusion} fusion, "
        f"bank of {settings['bank_images']} images"
    )
    if detector.fusion == "calibrated":
        say(
            "score: the highest 1 % of the fused map, in deviations from normal; each branch's column is of its own map"
        )
    say(threshold.sentence())
    if run.auroc is not None and run.average_precision is not None:
        say(f"labels known: image AUROC {run.auroc:.3f}, average precision {run.average_precision:.3f}")
    for line in proxy:
        say(line)
    say(f"  look at  {folder / 'report.html'}")
    say(f"  as data  {folder / 'results.jsonl'}, {folder / 'results.csv'}, {folder / 'maps'}")
    for each in run.errors:
        note(each.error)
    if run.errors:
        note(f"{len(run.errors)} of {len(run.results)} photos could not be read; the others are judged")
