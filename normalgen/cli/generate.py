"""normalgen generate."""

import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.cli import inputs
from normalgen.cli.checks import need_distilled, need_prior
from normalgen.cli.job import Job, given_model, saved_preset
from normalgen.cli.photos import check_photos, references_from, tell_of_others
from normalgen.cli.show import going_on, note, progress, say
from normalgen.cli.workers import run_workers
from normalgen.errors import DataError
from normalgen.settings.presets import Preset, change
from normalgen.settings.presets import preset as make_preset

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.pool.dataset import Pool
    from normalgen.pool.workers import Shard
    from normalgen.references import References


def generate(
    folder: inputs.Folder = None,
    n: inputs.Count = 100,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    seed: inputs.Seed = 0,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    size: inputs.Size = None,
    augment: inputs.AugmentName = None,
    method: inputs.MethodName = None,
    training_steps: inputs.TrainingSteps = None,
    prior_weight: inputs.PriorWeight = None,
    class_images: inputs.ClassImages = None,
    sampling_steps: inputs.SamplingSteps = None,
    explicit_steps: inputs.ExplicitSteps = None,
    sampler: inputs.SamplerName = None,
    guidance: inputs.Guidance = None,
    distilled: inputs.Distilled = None,
    precision: inputs.PrecisionName = None,
    compile_: inputs.Compile = None,
    out: inputs.PoolFolder = None,
    plain: inputs.Plain = None,
    mix: inputs.Mix = None,
    strength: inputs.Strength = None,
    prompts: inputs.Prompts = None,
    gate: inputs.GateSwitch = None,
    budget: inputs.Budget = None,
    shard: inputs.ShardText = None,
    devices: inputs.Devices = None,
    device: inputs.DeviceName = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Make a pool of anomaly-free images from a few normal photos.

    Customizes the model on the photos first, unless that is done. A run that was stopped goes on with the same command.

    normalgen generate ./good -n 100

    normalgen generate --category elpv-mono -n 100

    normalgen generate --category hazelnut --data MVTEC_ROOT -k 4 -n 100

    With a GPU and the weights of Stable Diffusion: normalgen generate ./good --preset sd15 -n 100
    """
    changes = {
        "weights": weights,
        "size": size,
        "augment": augment,
        "train": {
            "method": method,
            "steps": training_steps,
            "prior_weight": prior_weight,
            "class_images": class_images,
        },
        "sample": {
            "steps": sampling_steps,
            "explicit_steps": explicit_steps,
            "sampler": sampler,
            "guidance": guidance,
            "distilled": distilled,
            "precision": precision,
            "compile": compile_,
        },
        "pool": {
            "plain": plain,
            "mix": mix,
            "strength": strength,
            "prompts": prompts,
            "gate": gate,
            "budget": budget,
        },
    }
    named = make_preset(preset)
    settings = change(saved_preset(model) or named, **changes)
    need_prior(settings, class_images)
    if n < 1:
        raise DataError(f"-n must be at least 1, got {n}")
    if devices:
        with going_on():
            return run_workers(devices, shard, sys.argv[1:])
    references = references_from(folder, category, data, noun, k, manifest, crop, seed)
    from normalgen.customize.dreambooth import is_customized
    from normalgen.pool.workers import Shard

    share = None if shard is None else Shard.parse(shard)
    chosen = inputs.pick_device(device)
    ready = given_model(model, settings, references, chosen, changes)
    settings, place = ready.preset if ready else settings, model or Path("models") / references.category
    if ready:
        references = named_as(ready, references, renamed=noun is not None)
        tell_of_others("the model", place, references, "name another --model to have one made from these")
    elif not is_customized(place):
        need_distilled(settings)
    check_photos(references, settings.size)
    if not settings.draws:
        note("with --plain 1 diffusion makes none of the images: no model is needed, and none is customized")
    job = Job(references, settings, out or Path("pools") / references.category, seed, overwrite)
    return run(job, n, ready or (place, chosen), share)


def named_as(model: "NormalModel", references: "References", *, renamed: bool) -> "References":
    """The references under the noun that a finished model draws.

    Raises:
        DataError: they were `renamed` to another.
    """
    if renamed and references.noun != model.noun:
        raise DataError(
            f"the model was customized with --object {model.noun!r}, now {references.noun!r}; leave --object out, or "
            "name another folder with --model for a model of its own"
        )
    return replace(references, noun=model.noun)


def run(job: Job, n: int, model: "NormalModel | tuple[Path, str]", shard: "Shard | None") -> None:
    """Do the job, and say what is in the pool, what is not and why, and what to do with it."""
    begun = time.monotonic()
    with going_on(), progress() as watch:
        pool = job.run(n, model, shard, watch)
    if pool is None:
        return say(f"shard {shard} is drawn; the worker that draws the last one finishes {job.out}")
    say(f"{len(pool)} normal images of {job.references.category!r} in {time.monotonic() - begun:.0f} s")
    tell_of_modes(pool, job.settings)
    tell_of_rejected(pool, n, job.settings.pool.budget)
    say(f"  pool           {pool.folder}")
    say(f"  contact sheet  {job.sheet.path}")
    say(f"load it:  datasets.load_dataset({pool.folder.as_posix()!r}, split='train')")
    say("grow it:  the same command with a larger -n")
    return None


def tell_of_modes(pool: "Pool", settings: Preset) -> None:
    """How the images were made; and a note when the gate left none that diffusion made."""
    names = {"img2img": "photos drawn anew", "txt2img": "drawn from noise", "augmented": "augmented photos"}
    modes = Counter(row["mode"] for row in pool.rows)
    say(f"  made as        {', '.join(f'{count} {names[mode]}' for mode, count in modes.most_common())}")
    if settings.draws and set(modes) == {"augmented"} and any(each.reason for each in pool.rejected()):
        note("diffusion made none of them: the gate rejected all; more --training-steps may help")


def tell_of_rejected(pool: "Pool", n: int, budget: float) -> None:
    """What the gate rejected, what it cannot tell, and what to do when it left too few."""
    from normalgen.pool.journal import REJECTED, record_folder

    for sentence in pool.gate().get("unknown", []):
        note(sentence)
    reasons = Counter(each.reason for each in pool.rejected())
    if reasons:
        what = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        say(f"  rejected       {what}: {record_folder(pool.folder) / REJECTED}")
    if len(pool) > n:
        note(f"the pool held {len(pool)} images already; -n {n} takes none away")
    if len(pool) < n:
        note(
            f"{len(pool)} of {n} images were kept within the budget of {budget:g} candidates each; "
            "try a larger --budget; or, with --overwrite, more photos, more --training-steps, or --no-gate"
        )
