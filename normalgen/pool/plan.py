"""What each image of a pool is made from, decided before anything is drawn; and the drawing of a group."""

from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.images.augment import augment_each
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import prompt_set

__all__ = ["Candidate", "candidate", "draw_group", "preset_of"]


@dataclass(frozen=True)
class Candidate:
    """How image `index` of a pool is made: decided by the settings alone, before anything is drawn.

    Attributes:
        index: its place in the pool.
        mode: "img2img" restores an augmented reference, "txt2img" draws from noise, "augmented" leaves an augmented
            reference as it is.
        prompt: with `{object}` open; "" for augmented.
        reference: place of the reference among the references; None for txt2img.
    """

    index: int
    mode: str
    prompt: str
    reference: int | None


def candidate(index: int, preset: Preset, references: int) -> Candidate:
    """The plan of image `index`: modes interleaved in their shares, prompts and references in turn."""
    plain, is_plain = _turn(index, preset.pool.plain)
    if is_plain:
        return Candidate(index, "augmented", "", plain % references)
    drawn = index - plain
    restored, is_restored = _turn(drawn, preset.pool.mix)
    prompts = prompt_set(preset.pool.prompts)
    if is_restored:
        return Candidate(index, "img2img", prompts[restored // references % len(prompts)], restored % references)
    return Candidate(index, "txt2img", prompts[(drawn - restored) % len(prompts)], None)


def _turn(place: int, share: float) -> tuple[int, bool]:
    """How many of the places before `place` a kind of that share has had, and whether this one is its too."""
    before, after = int(place * share + 1e-9), int((place + 1) * share + 1e-9)
    return before, after > before


def preset_of(model: NormalModel | Preset) -> Preset:
    """How a model draws; a preset stands for itself where nothing is drawn."""
    return model if isinstance(model, Preset) else model.preset


def draw_group(model: NormalModel | Preset, start: int, sources: Tensor, seed: int) -> list[tuple[Candidate, Tensor]]:
    """The candidates from index `start` on, one `preset.pool.group`, each with its image (3, S, S) in [0, 1].

    Always the whole group, whichever of them are wanted: the batch is part of the bytes. A preset alone will do if it
    draws nothing. An image that is not finite becomes black, so that its file is the same wherever it is judged.
    """
    preset = preset_of(model)
    group = [candidate(index, preset, len(sources)) for index in range(start, start + preset.pool.group)]
    drawn: dict[int, Tensor] = {}
    for mode in ("augmented", "img2img", "txt2img"):
        some = [each for each in group if each.mode == mode]
        if some:
            images = _draw_mode(model, mode, some, sources, seed)
            finite = images.isfinite().flatten(1).all(1)[:, None, None, None]
            drawn |= zip([each.index for each in some], torch.where(finite, images, 0.0), strict=True)
    return [(each, drawn[each.index]) for each in group]


def _draw_mode(model: NormalModel | Preset, mode: str, some: list[Candidate], sources: Tensor, seed: int) -> Tensor:
    if isinstance(model, Preset) or mode == "augmented":
        return _augmented(some, preset_of(model), sources, seed)
    indices = [each.index for each in some]
    prompts = [each.prompt for each in some]
    if mode == "txt2img":
        return model.sample(indices, prompts=prompts, seed=seed)
    starts = _augmented(some, model.preset, sources, seed)
    return model.restore(starts, prompts=prompts, strength=model.preset.pool.strength, seed=seed, indices=indices)


def _augmented(some: list[Candidate], preset: Preset, sources: Tensor, seed: int) -> Tensor:
    draws = [generator("augment", seed, each.index) for each in some]
    return augment_each(sources[[each.reference or 0 for each in some]].float() / 255, preset.augment, draws)
