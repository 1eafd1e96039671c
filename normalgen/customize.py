"""DreamBooth on k references: a diffusion model that draws this category's normal images (Ruiz et al. 2023).

Instance images are augmented references under "a photo of normal [object]"; class images, made once by the
un-customized model under "a photo of [object]", preserve what it knew (One-to-Normal, Li et al. 2024, Eq. 1).
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import normalgen
from normalgen.augment import augment_each
from normalgen.diffusion.model import MODEL_FILE, NormalModel
from normalgen.diffusion.parts import learn_kind, open_parts, prepare_training
from normalgen.diffusion.training import Batch, TrainingPlan, train
from normalgen.errors import PresetError
from normalgen.files import write_whole
from normalgen.images import is_grey
from normalgen.presets import PRESETS, Preset, change
from normalgen.prompts import CLASS_PROMPT, INSTANCE_PROMPT
from normalgen.record import agree, differing, locked
from normalgen.references import References, write_manifest
from normalgen.seeds import generator
from normalgen.watch import Watch, silent

__all__ = ["class_images", "customize", "is_customized"]

RECORD, CHECKPOINT, MANIFEST = "customize.json", "checkpoint.pt", "references.json"
_DECIDING = [
    "weights",
    "size",
    "method",
    "rank",
    "training_steps",
    "batch",
    "class_batch",
    "learning_rate",
    "prior_weight",
    "class_images",
    "ema",
    "focus",
    "piece",
    "feature_weight",
    "augment",
    "group",
]


def is_customized(folder: Path) -> bool:
    """Whether `folder` holds a finished model."""
    return (folder / MODEL_FILE).is_file()


def customize(
    references: References,
    preset: Preset,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    watch: Watch = silent,
    preview: Callable[[NormalModel], None] = lambda model: None,
    overwrite: bool = False,
) -> NormalModel:
    """Fine-tune the preset's model on the references and save it in `folder`.

    The same call again goes on where a killed one stopped, and ends with the same weights; a finished model is loaded.

    Args:
        references: all of them are used.
        preset: steps, rate, method, augmentation, size.
        folder: gets the weights, `preset.json`, and the references' manifest.
        seed: decides augmentations, noise and class images.
        device: "cpu", "cuda", "cuda:1", "mps".
        watch: told of the stages "class images" and "customize".
        preview: shown the model after every step, with the weights of that moment; may draw from it.
        overwrite: a model of other settings in `folder` gives way.

    Raises:
        DataError: `folder` holds a model of other settings, or is being written.
        MissingWeights: the preset's weights are not there.
        PresetError: a piece that the denoiser's grid does not divide.
    """
    parts = open_parts(preset.weights)
    if preset.piece % parts.codec.multiple:
        raise PresetError(f"piece must be a multiple of {parts.codec.multiple}, or 0, got {preset.piece}")
    settings = _settings(references, preset, seed, parts.digest)
    record = {"settings": settings, "normalgen": normalgen.__version__, "torch": torch.__version__}
    model = NormalModel(parts, preset, category=references.category, noun=references.noun, device=device)
    if not overwrite or not (folder / RECORD).is_file():
        agree(folder / RECORD, record, look=True)  # before the lock, which makes the folder
    with locked(folder):
        if overwrite and differing(folder / RECORD, settings):
            _clear(folder)
        agree(folder / RECORD, record)
        if is_customized(folder):
            (folder / CHECKPOINT).unlink(missing_ok=True)
            return NormalModel.load(folder, device=device).using(preset)
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
    preset = model.preset
    classes = class_images(model, seed=seed, watch=watch) if preset.prior_weight and preset.class_images else None
    pixels = references.images.pixels(preset.size)
    model.grey = is_grey(pixels)
    model.parts = prepare_training(model.parts, preset).to(model.device)
    learn_kind(model.parts, pixels)
    plan = TrainingPlan(
        preset.training_steps,
        preset.learning_rate,
        preset.ema,
        seed,
        decay="cosine",
        focus=preset.focus,
        feature_weight=preset.feature_weight,
    )

    def begin(step: int) -> None:
        watch("customize", step, preset.training_steps)

    def after_step(step: int, loss: float) -> None:
        begin(step)
        preview(model)

    batch_at = _batches(pixels, classes, preset, seed)
    train(model, batch_at, plan, checkpoint=checkpoint, begin=begin, after_step=after_step)


def _settings(references: References, preset: Preset, seed: int, digest: str) -> dict[str, Any]:
    return preset.only(_DECIDING) | references.identity() | {"seed": seed, "base": digest}


def _clear(folder: Path) -> None:
    for pattern in ("*.safetensors", "tiny.json", MODEL_FILE, CHECKPOINT, MANIFEST, RECORD):
        for path in folder.glob(pattern):
            path.unlink()


def class_images(model: NormalModel, *, seed: int, watch: Watch = silent) -> Tensor:
    """Images of the class (n, 3, S, S) in [0, 1] by the un-customized `model`; kept in the user's cache."""
    preset = model.preset
    versions = f"{normalgen.__version__}-{torch.__version__}-{model.device.partition(':')[0]}"
    key = f"{model.digest[:16]}-{preset.name}-{preset.size}-{preset.group}-{preset.class_images}-{seed}-{versions}"
    path = platformdirs.user_cache_path("normalgen") / "class-images" / f"{key}.safetensors"
    try:
        return load_file(path)["images"].float() / 255
    except (OSError, KeyError, SafetensorError):
        pass
    images = (_draw_classes(model, seed, watch) * 255).round().to(torch.uint8)
    with suppress(OSError):
        write_whole(path, lambda partial: partial.write_bytes(save({"images": images})))
    return images.float() / 255


def _draw_classes(model: NormalModel, seed: int, watch: Watch) -> Tensor:
    count, group = model.preset.class_images, model.preset.group
    named = PRESETS[model.preset.name]
    model = model.using(change(model.preset, sampling_steps=named.sampling_steps, guidance=named.guidance))
    watch("class images", 0, count)
    drawn = []
    for start in range(0, count, group):
        indices = range(start, min(start + group, count))
        drawn.append(model.sample(indices, prompts=[CLASS_PROMPT] * len(indices), seed=seed))
        watch("class images", indices.stop, count)
    return torch.cat(drawn)


def _batches(references: Tensor, classes: Tensor | None, preset: Preset, seed: int) -> Callable[[int], Batch]:
    """The batch of each step: `preset.batch` augmented references, and `preset.class_batch` class images."""
    count, class_count = preset.batch, preset.class_batch

    def batch_at(step: int) -> Batch:
        draws = [generator("batch", seed, step, row) for row in range(count)]
        chosen = [(step * count + row) % len(references) for row in range(count)]
        images = augment_each(references[chosen].float() / 255, preset.augment, draws)
        weights = torch.full((count,), 1 / count)
        prompts = [INSTANCE_PROMPT] * count
        if classes is not None:
            preserved = classes[[(step * class_count + row) % len(classes) for row in range(class_count)]]
            prompts += [CLASS_PROMPT] * class_count
            weights = torch.cat([weights, torch.full((class_count,), preset.prior_weight / class_count)])
            draws += [generator("class batch", seed, step, row) for row in range(class_count)]
            images = torch.cat([images, preserved])
        return Batch(_pieces(images, preset.piece, draws), prompts, weights)

    return batch_at


def _pieces(images: Tensor, size: int, draws: list[torch.Generator]) -> Tensor:
    """A random square of each image (N, 3, S, S), `size` wide; the whole image where `size` is 0 or more than S."""
    room = images.shape[-1] - size
    if not size or room <= 0:
        return images
    corners = [torch.randint(room + 1, (2,), generator=draw).tolist() for draw in draws]
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in zip(images, corners, strict=True)])
