"""What customization learns from: augmented references, and class images that preserve what the model knew."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256

import platformdirs
import torch
from safetensors.torch import load, save
from torch import Tensor

import normalgen
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.training import Batch
from normalgen.images.augment import augment_each, cut_each
from normalgen.images.turning import Turnable
from normalgen.io.cache import KeptFiles
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.settings.presets import PRESETS, Preset, change
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, fill

__all__ = ["batches", "class_images"]


def class_images(model: NormalModel, *, seed: int, watch: Watch = silent) -> Tensor:
    """Images of the class (n, 3, S, S) in [0, 1] by the un-customized `model`.

    They are kept, group by group, in the user's cache: a killed run resumes, and all categories of one noun share them.
    A preset of `PRESETS` samples them by its own settings, whatever `model.preset` changes; one of another name, as
    `model.preset` says.
    """
    count, group = model.preset.train.class_images, model.preset.pool.group
    files = KeptFiles(platformdirs.user_cache_path("normalgen") / "class-images", "*/*.safetensors")
    watch("class images", 0, count)
    drawn = []
    for start in range(0, count, group):
        indices = range(start, min(start + group, count))
        path = files.folder / _class_key(model, seed) / f"{start:05d}-{len(indices)}.safetensors"
        images = files.read(path, lambda data: load(data)["images"])
        if images is None:
            images = _draw_classes(model, indices, seed)
            files.keep(path, save({"images": images}))
        drawn.append(images)
        watch("class images", indices.stop, count)
    return torch.cat(drawn).float() / 255


def _class_key(model: NormalModel, seed: int) -> str:
    preset = model.preset
    sentence = sha256(fill(CLASS_PROMPT, model.noun).encode()).hexdigest()[:8]
    versions = f"{normalgen.__version__}-{torch.__version__}-{model.device.partition(':')[0]}-{preset.sample.precision}"
    group = preset.pool.group
    return f"{model.digest[:16]}-{_sampling_key(preset)}-{preset.size}-{group}-{sentence}-{seed}-{versions}"


def _sampling_key(preset: Preset) -> str:
    """The preset's name, which says how it samples class images; of one that is not in `PRESETS`, its settings too."""
    if preset.name in PRESETS:
        return preset.name
    settings = json.dumps(asdict(preset.sample), sort_keys=True)
    return f"own-{sha256(settings.encode()).hexdigest()[:12]}"


def _draw_classes(model: NormalModel, indices: range, seed: int) -> Tensor:
    named, own = PRESETS.get(model.preset.name, model.preset), model.preset
    kept = {"precision": own.sample.precision, "compile": own.sample.compile, "distilled": own.sample.distilled}
    model = model.using(change(named, size=own.size, sample=kept))
    drawn = model.sample(indices, prompts=[CLASS_PROMPT] * len(indices), seed=seed)
    return (drawn * 255).round().to(torch.uint8).contiguous()


def batches(
    model: NormalModel, references: Sequence[Turnable], classes: Tensor | None, seed: int
) -> Callable[[int], Batch]:
    """The batch of each step: `train.batch` augmented references, and `train.class_batch` class images.

    With `train.views` above 0 the model's codec looks at everything once, now.

    Args:
        model: its codec, and its preset: batch, class_batch, prior_weight, augment, views, piece.
        references: the photos, ready to be turned.
        classes: (n, 3, S, S) in [0, 1]; None leaves prior preservation out.
        seed: draws the augmentations and pieces.
    """
    augment, settings = model.preset.augment, model.preset.train
    count, class_count = settings.batch, 0 if classes is None else settings.class_batch
    prompts = [INSTANCE_PROMPT] * count + [CLASS_PROMPT] * class_count
    instance, preserved = torch.full((count,), 1 / count), torch.full((class_count,), settings.prior_weight)
    weights = torch.cat([instance, preserved / max(1, class_count)])
    views = _views(model, references, classes, seed) if settings.views else None

    def batch_at(step: int) -> Batch:
        places = [step * count + row for row in range(count)]
        class_places = [step * class_count + row for row in range(class_count)]
        if views is not None:
            seen, seen_classes = views
            chosen = [seen[_view(place, len(references), settings.views)] for place in places]
            chosen += [seen_classes[place % len(seen_classes)] for place in class_places]
            return Batch(torch.stack(chosen), prompts, weights, encoded=True)
        draws = [generator("batch", seed, step, row) for row in range(count)]
        rows = [references[place % len(references)] for place in places]
        images = augment_each(rows, augment, draws, settings.piece)
        if classes is not None:
            draws = [generator("class batch", seed, step, row) for row in range(class_count)]
            shown = classes[[place % len(classes) for place in class_places]]
            images = torch.cat([images, cut_each(shown, draws, settings.piece)])
        return Batch(images, prompts, weights)

    return batch_at


def _view(place: int, references: int, views: int) -> int:
    """References in turn, and each one's views in turn."""
    return place % references * views + place // references % views


@torch.inference_mode()
def _views(
    model: NormalModel, references: Sequence[Turnable], classes: Tensor | None, seed: int
) -> tuple[Tensor, Tensor]:
    """The moments of `train.views` augmentations of each reference, one reference after the other; of the classes."""
    model.parts.to(model.device)
    codec, views = model.parts.codec, model.preset.train.views

    def look(images: Tensor) -> Tensor:
        with model.autocast():
            return torch.cat([codec.moments(part.to(model.device)).cpu() for part in torch.split(images, 4)]).clone()

    seen = []
    for place, reference in enumerate(references):
        draws = [generator("view", seed, place, i) for i in range(views)]
        seen.append(look(augment_each([reference] * views, model.preset.augment, draws, model.preset.train.piece)))
    if classes is None:
        return torch.cat(seen), torch.empty(0)
    draws = [generator("class view", seed, place) for place in range(len(classes))]
    return torch.cat(seen), look(cut_each(classes, draws, model.preset.train.piece))
