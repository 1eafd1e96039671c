"""normalgen train-text."""

import time
from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say
from normalgen.errors import DataError, PresetError
from normalgen.io.devices import pick_device
from normalgen.io.paths import STALE, sweep
from normalgen.io.progress import progress_bars
from normalgen.io.run_folder import refuse_file


def train_text(
    data: Annotated[
        Path,
        typer.Option("--data", help="Data set with masks in MVTec layout, with other objects than yours."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Safetensors file to write.")],
    features: Annotated[
        str,
        typer.Option("--features", help="Features with a text encoder: clip, clip:NAME or clip:NAME:WEIGHTS."),
    ] = "clip",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images; VisA needs 15.")] = 3,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step.")] = 8,
    normal: inputs.NormalNames = None,
    anomalous: inputs.AnomalousNames = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Train a detector's text branch on images of other objects with marked defects.

    normalgen train-text --data MVTEC --out text.safetensors
    """
    if out.exists():
        raise DataError(f"{out} already exists; remove it, or choose another file with --out")
    refuse_file(out.parent)
    from normalgen.data.labels import describe
    from normalgen.data.readers.mvtec import marked_categories

    categories = marked_categories(data, inputs.label_names(normal, anomalous))
    for category in categories:
        note(f"{category.name}: {describe(category.folders)}")
    chosen = pick_device(device)
    from normalgen.data.mask_check import PIXELS, need_masks

    with progress_bars() as watch:
        need_masks(categories, PIXELS, watch)
    from normalgen.detectors.one_to_normal.text_training import train_text as learn
    from normalgen.features.open_features import open_features

    opened = open_features(features, device=chosen)
    if opened.text is None:
        raise PresetError(f"the features {features!r} have no text encoder; use --features clip")
    checkpoint = out.with_name(f".{out.name}.checkpoint")
    sweep(out.parent, deep=False, older=STALE)
    begun = time.monotonic()
    with progress_bars() as watch:
        maps = learn(opened, categories, epochs=epochs, batch=batch, seed=seed, watch=watch, checkpoint=checkpoint)
        maps.save(out)
    checkpoint.unlink(missing_ok=True)
    labels = [label for category in categories for label in category.labels]
    source = f"{len(labels)} images of {len(categories)} objects, {sum(labels)} of them with defects"
    say(f"text maps for {opened.name}, trained on {source}")
    say(f"  file  {out}  ({time.monotonic() - begun:.0f} s)")
