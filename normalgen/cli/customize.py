"""normalgen customize."""

import time
from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import say
from normalgen.settings.presets import preset as make_preset


def customize(
    context: typer.Context,
    folder: inputs.Folder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    tile: inputs.Tile = 0,
    seed: inputs.Seed = 0,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    size: inputs.Size = None,
    augment: inputs.AugmentName = None,
    method: inputs.MethodName = None,
    training_steps: inputs.TrainingSteps = None,
    prior_weight: inputs.PriorWeight = None,
    class_images: inputs.ClassImages = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the model; default: models/CATEGORY.")] = None,
    device: inputs.DeviceName = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Fine-tune the diffusion model on a few normal photos (DreamBooth), without making a pool.

    normalgen customize ./good --category bracket
    """
    asked = inputs.settings_in(context.params, "train")
    inputs.check_prior(make_preset(preset, **asked), class_images)
    references = inputs.references_in(context.params, folder)
    from normalgen.pipeline.make import customize as make_model

    begun, target = time.monotonic(), out or Path("models") / references.category
    make_model(references, preset, target, settings=asked, seed=seed, device=device, overwrite=overwrite)
    say(f"customized on {len(references.images)} photos of {references.category!r} in {time.monotonic() - begun:.0f} s")
    say(f"  model       {target}")
    say(f"  references  {target / 'references.json'}")
    say(f"next:  normalgen generate ... --model {target} -n 100")
