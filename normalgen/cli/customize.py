"""normalgen customize."""

import time
from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.checks import need_prior
from normalgen.cli.job import settle
from normalgen.cli.photos import check_photos, references_from
from normalgen.cli.show import going_on, progress, say
from normalgen.settings.presets import preset as make_preset


def customize(
    folder: inputs.Folder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    seed: inputs.Seed = 0,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    size: inputs.Size = None,
    augment: inputs.AugmentName = None,
    method: inputs.MethodName = None,
    training_steps: inputs.TrainingSteps = None,
    prior_weight: inputs.PriorWeight = None,
    class_images: inputs.ClassImages = None,
    out: Annotated[Path | None, typer.Option(help="The model's folder; default: models/CATEGORY.")] = None,
    device: inputs.DeviceName = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Fine-tune the model on a few normal photos (DreamBooth), without making a pool.

    normalgen customize ./good --category bracket
    """
    settings = make_preset(
        preset,
        weights=weights,
        size=size,
        augment=augment,
        train={"method": method, "steps": training_steps, "prior_weight": prior_weight, "class_images": class_images},
    )
    need_prior(settings, class_images)
    references = references_from(folder, category, data, noun, k, manifest, crop, seed)
    check_photos(references, settings.size)
    settings = settle(settings, references)
    target = out or Path("models") / references.category
    chosen = inputs.pick_device(device)
    from normalgen.customize.dreambooth import customize as fine_tune

    begun = time.monotonic()
    with going_on(), progress() as watch:
        fine_tune(references, settings, target, seed=seed, device=chosen, watch=watch, overwrite=overwrite)
    say(f"customized on {len(references.images)} photos of {references.category!r} in {time.monotonic() - begun:.0f} s")
    say(f"  model       {target}")
    say(f"  references  {target / 'references.json'}")
    say(f"next:  normalgen generate ... --model {target} -n 100")
