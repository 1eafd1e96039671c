"""normalgen generate."""

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say
from normalgen.cli.workers import run_workers
from normalgen.errors import DataError
from normalgen.settings.presets import change
from normalgen.settings.presets import preset as make_preset

if TYPE_CHECKING:
    from normalgen.pool.dataset import Pool

MODES = {
    "photo": "screened photos",
    "repaired": "repaired photos",
    "img2img": "photos drawn again",
    "txt2img": "drawn from noise",
    "augmented": "augmented photos",
}


def generate(
    context: typer.Context,
    folder: inputs.Folder = None,
    n: inputs.Count = 100,
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
    unlabeled: inputs.Unlabeled = None,
    contamination: inputs.Contamination = None,
    repair: inputs.Repair = False,
    plain: inputs.Plain = None,
    mix: inputs.Mix = None,
    strength: inputs.Strength = None,
    prompts: inputs.Prompts = None,
    gate: inputs.GateSwitch = None,
    gate_features: inputs.GateFeatures = None,
    budget: inputs.Budget = None,
    shard: inputs.ShardText = None,
    devices: inputs.Devices = None,
    device: inputs.DeviceName = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Make a pool of anomaly-free images from a few normal photos.

    It first customizes the diffusion model on the photos, unless that is done.
    The same command resumes a stopped run.

    normalgen generate ./good -n 100

    With photos that nobody has labelled, most of them good, the pool gets their variety:

    normalgen generate ./good --unlabeled ./line_photos -n 100

    normalgen generate --category elpv-mono -n 100

    normalgen generate --category hazelnut --data MVTEC_ROOT -k 4 -n 100

    With a GPU and Stable Diffusion weights:

    normalgen generate ./good --preset sd15 -n 100
    """
    inputs.check_unlabeled(unlabeled, contamination, repair=repair)
    asked, named = inputs.settings_in(context.params, "train", "sample", "pool"), make_preset(preset)
    if n < 1:
        raise DataError(f"-n must be at least 1, got {n}")
    from normalgen.customizing.saved_models import saved_preset

    inputs.check_prior(change(saved_preset(model) or named, **asked), class_images)
    if devices:
        return run_workers(devices, shard, sys.argv[1:])
    references = inputs.references_in(context.params, folder)
    from normalgen.pipeline.make import generate_pool, generate_shard
    from normalgen.pool.workers import Shard

    begun, share = time.monotonic(), None if shard is None else Shard.parse(shard)
    given: dict[str, Any] = {"unlabeled": unlabeled, "contamination": contamination, "repair": repair}
    given |= {"model": model, "preset": preset, "settings": asked, "seed": seed, "device": device}
    if share is None:
        pool: Pool | None = generate_pool(references, n, out, overwrite=overwrite, **given)
    else:
        pool = generate_shard(references, share, n, out, overwrite=overwrite, **given)
    if pool is None:
        return say(f"shard {share} is drawn; the worker that draws the last shard finishes the pool")
    say(f"{len(pool)} normal images of {references.category!r} in {time.monotonic() - begun:.0f} s")
    _show_pool(pool, n)
    return None


def _show_pool(pool: "Pool", n: int) -> None:
    """Print what the pool holds, what was rejected and why, and what to do next."""
    from normalgen.pool.journal import SHEET, record_folder

    modes = Counter(row["mode"] for row in pool.rows)
    say(f"  made as        {', '.join(f'{count} {MODES[mode]}' for mode, count in modes.most_common())}")
    _show_rejected(pool, n, drawn=set(modes) != {"augmented"})
    say(f"  pool           {pool.folder}")
    say(f"  contact sheet  {record_folder(pool.folder) / SHEET}")
    say(f"load it:  {pool.loading()}")
    say("grow it:  the same command with a larger -n")


def _show_rejected(pool: "Pool", n: int, *, drawn: bool) -> None:
    """Print what the gate rejected, what it cannot judge, and what to do if too few images are left."""
    from normalgen.pool.journal import REJECTED, record_folder

    settings = pool.preset()
    reasons = Counter(item.reason for item in pool.rejected())
    if settings.draws and not drawn and reasons:
        note("the gate rejected every image that diffusion made; more --training-steps may help")
    gate = pool.gate()
    for sentence in gate["unknown"] if gate else ():
        note(sentence)
    if reasons:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        say(f"  rejected       {counts}: {record_folder(pool.folder) / REJECTED}")
    if len(pool) > n:
        note(f"the pool already has {len(pool)} images; -n {n} removes none")
    if len(pool) < n:
        note(
            f"the pool has {len(pool)} of {n} images; its budget of {settings.pool.budget:g} candidates each is spent; "
            "try a larger --budget, or start over with --overwrite and more photos, more --training-steps or --no-gate"
        )
