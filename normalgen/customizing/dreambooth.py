"""DreamBooth on k references: a diffusion model that draws this category's normal images (Ruiz et al. 2023).

Instance images are augmented references with the prompt "a photo of normal [object]". Class images, drawn once by the
un-customized model with "a photo of [object]", preserve its knowledge (One-to-Normal, Li et al. 2024, Eq. 1).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

import normalgen
from normalgen.customizing.auto_augment import settled
from normalgen.customizing.saved_models import RECORD, is_customized
from normalgen.customizing.training_batches import batches, class_images
from normalgen.diffusion import MODEL_FILE, WEIGHT_FILES
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.training import TrainingPlan, train
from normalgen.errors import PresetError
from normalgen.images.images import is_grey
from normalgen.images.turning import turnables
from normalgen.io.paths import remove_files, sweep
from normalgen.io.progress import Watch, silent
from normalgen.io.records import write_record
from normalgen.io.run_folder import agree, differing, locked
from normalgen.references import References, write_manifest
from normalgen.settings.presets import Preset

__all__ = ["MANIFEST", "fine_tune"]

CHECKPOINT, MANIFEST = "checkpoint.pt", "references.json"
SMALL = 2**15
"""Up to this many pixels per training step, one CPU thread is fastest; measured on two cores."""


def fine_tune(
    references: References,
    preset: Preset,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    watch: Watch = silent,
    preview: Callable[[NormalModel], None] = lambda model: None,
    overwrite: bool = False,
    wait: bool = False,
) -> NormalModel:
    """Fine-tune the preset's model on the references and save it in `folder`.

    After a killed run, the same call resumes and ends with the same weights. A finished model is only loaded.

    Args:
        references: all of them are used.
        preset: steps, rate, method, augmentation, size.
        folder: for the weights, `preset.json`, and the references' manifest.
        seed: decides augmentations, noise and class images.
        device: "cpu", "cuda", "cuda:1", "mps".
        watch: receives the progress of "class images" and "customize".
        preview: called with the model and its current weights after every step; may draw from it.
        overwrite: replace a model in `folder` that has other settings.
        wait: if another process is making the model, wait and load its result.

    Raises:
        DataError: `folder` holds a model with other settings, or is in use.
        MissingWeights: the preset's weights do not exist.
        PresetError: the weights cannot be trained by the method, or the piece does not fit the denoiser's grid.
    """
    preset = settled(preset, references)
    parts = open_parts(preset.weights)
    if preset.train.method not in parts.methods:
        raise PresetError(
            f"these weights can be trained by method {' or '.join(parts.methods)}, got {preset.train.method}"
        )
    if preset.train.piece % parts.codec.multiple:
        raise PresetError(f"train.piece must be a multiple of {parts.codec.multiple}, or 0, got {preset.train.piece}")
    settings = _settings(references, preset, seed, parts.digest)
    record = {"settings": settings, "normalgen": normalgen.__version__, "torch": torch.__version__}
    model = NormalModel(parts, preset, category=references.category, noun=references.noun, device=device)
    if not overwrite or not (folder / RECORD).is_file():
        agree(folder / RECORD, record, look=True)  # before the lock, which makes the folder
    with locked(folder, wait=wait):
        if overwrite and differing(folder / RECORD, settings):
            remove_files(folder, [*WEIGHT_FILES, MODEL_FILE, CHECKPOINT, MANIFEST])
            write_record(folder / RECORD, record)
        agree(folder / RECORD, record)
        sweep(folder)
        if is_customized(folder):
            (folder / CHECKPOINT).unlink(missing_ok=True)
            return NormalModel.load(folder, device=device, changes=preset.settings())
        write_manifest(references, folder / MANIFEST)
        _train(model, references, seed, folder / CHECKPOINT, watch, preview)
        saved = model.save(folder, made_with=settings)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return saved


def _train(
    model: NormalModel,
    references: References,
    seed: int,
    checkpoint: Path,
    watch: Watch,
    preview: Callable[[NormalModel], None],
) -> None:
    settings = model.preset.train
    preserves = settings.prior_weight and settings.class_images
    classes = class_images(model, seed=seed, watch=watch) if preserves else None
    pixels = references.pieces.pixels(model.preset.size)
    model.grey = is_grey(pixels)
    batch_at = batches(model, turnables(references.pieces, model.preset.size), classes, seed)
    model.parts = model.parts.prepare_training(model.preset)
    if model.half:
        model.parts.lighten()
    model.parts.to(model.device)
    model.parts.begin_from(pixels)
    plan = TrainingPlan(
        settings.steps,
        settings.learning_rate,
        settings.ema,
        seed,
        warmup=settings.warmup,
        decay=settings.decay,
        focus=settings.focus,
        feature_weight=settings.feature_weight,
    )

    def begin(step: int) -> None:
        watch("customize", step, settings.steps)

    def after_step(step: int, loss: float) -> None:
        begin(step)
        preview(model)

    with _threads(model.preset, model.device):
        train(model, batch_at, plan, checkpoint=checkpoint, begin=begin, after_step=after_step)


def _threads(preset: Preset, device: str) -> AbstractContextManager[object]:
    """Return a context with one CPU thread if steps are small: more would mostly wait, above all on a busy machine."""
    settings = preset.train
    images = settings.batch + (settings.class_batch if settings.prior_weight else 0)
    small = images * (settings.piece or preset.size) ** 2 <= SMALL
    return threadpool_limits(1) if small and device == "cpu" else nullcontext()


def _settings(references: References, preset: Preset, seed: int, digest: str) -> dict[str, Any]:
    return preset.deciding("model") | references.identity() | {"seed": seed, "base": digest}
