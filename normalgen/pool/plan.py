"""Plans how each image of a pool is made, and draws one group of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.images.augment import augment_each
from normalgen.images.turning import Turnable
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import prompt_set

__all__ = ["Candidate", "candidate", "draw_group", "preset_of"]


@dataclass(frozen=True)
class Candidate:
    """How image `index` of a pool is made; only the settings decide it.

    Attributes:
        index: index of the candidate in the pool.
        mode: "photo" is a photo as it is, "repaired" one that was repaired before, "img2img" restores
            an augmented one, "txt2img" draws from noise, "augmented" leaves an augmented photo as it is.
        prompt: prompt with the placeholder `{object}`; "" for photos, repaired and augmented ones.
        reference: index of the source, a reference or photo; None for txt2img.
    """

    index: int
    mode: str
    prompt: str
    reference: int | None


def candidate(index: int, preset: Preset, sources: int, photos: int = 0, repaired: int = 0) -> Candidate:
    """Return the plan of image `index`: photos first, then repaired ones, then modes by their shares, in turn.

    Nothing is made from photos: a bad one that was kept would be multiplied.

    Args:
        index: index of the candidate in the pool.
        preset: gives the shares and the prompts.
        sources: number of references, photos and repaired photos, in this order.
        photos: number of photos.
        repaired: number of repaired photos.
    """
    joining = photos + repaired
    if index < joining:
        return Candidate(index, "photo" if index < photos else "repaired", "", sources - joining + index)
    made = _made(index - joining, preset, sources - joining)
    return replace(made, index=index)


def _made(index: int, preset: Preset, references: int) -> Candidate:
    plain, is_plain = _turn(index, preset.pool.plain)
    if is_plain:
        return Candidate(index, "augmented", "", plain % references)
    drawn = index - plain
    restored, is_restored = _turn(drawn, preset.pool.mix)
    prompts = prompt_set(preset.pool.prompts)
    if is_restored:
        return Candidate(index, "img2img", prompts[restored // references % len(prompts)], restored % references)
    return Candidate(index, "txt2img", prompts[(drawn - restored) % len(prompts)], None)


def _turn(index: int, share: float) -> tuple[int, bool]:
    """Return how many indices before `index` went to a kind with this share, and whether `index` does."""
    before, after = int(index * share + 1e-9), int((index + 1) * share + 1e-9)
    return before, after > before


def preset_of(model: NormalModel | Preset) -> Preset:
    """Return the preset of a model; a preset, given if diffusion draws nothing, is returned as it is."""
    return model if isinstance(model, Preset) else model.preset


def draw_group(
    model: NormalModel | Preset, start: int, sources: Sequence[Turnable], seed: int, photos: int = 0, repaired: int = 0
) -> list[tuple[Candidate, Tensor]]:
    """Return the group of `preset.pool.group` candidates from index `start` on, with images (3, S, S) in [0, 1].

    The last sources are `photos` photos and then `repaired` repaired ones, which join the pool as they are.

    It always draws the whole group, because the batch size changes the bytes. A preset alone is enough if diffusion
    draws nothing. An image that is not finite becomes black, so its file is the same wherever it is judged.
    """
    preset = preset_of(model)
    indices = range(start, start + preset.pool.group)
    group = [candidate(index, preset, len(sources), photos, repaired) for index in indices]
    drawn: dict[int, Tensor] = {}
    for mode in ("photo", "repaired", "augmented", "img2img", "txt2img"):
        candidates = [item for item in group if item.mode == mode]
        if candidates:
            images = _draw_mode(model, mode, candidates, sources, seed)
            finite = images.isfinite().flatten(1).all(1)[:, None, None, None]
            drawn |= zip([item.index for item in candidates], torch.where(finite, images, 0.0), strict=True)
    return [(item, drawn[item.index]) for item in group]


def _draw_mode(
    model: NormalModel | Preset, mode: str, candidates: list[Candidate], sources: Sequence[Turnable], seed: int
) -> Tensor:
    if mode in ("photo", "repaired"):
        return torch.stack([sources[item.reference or 0].photo for item in candidates]).float() / 255
    if isinstance(model, Preset) or mode == "augmented":
        return _augmented(candidates, preset_of(model), sources, seed)
    indices = [item.index for item in candidates]
    prompts = [item.prompt for item in candidates]
    if mode == "txt2img":
        return model.sample(indices, prompts=prompts, seed=seed)
    starts = _augmented(candidates, model.preset, sources, seed)
    return model.restore(starts, prompts=prompts, strength=model.preset.pool.strength, seed=seed, indices=indices)


def _augmented(candidates: list[Candidate], preset: Preset, sources: Sequence[Turnable], seed: int) -> Tensor:
    draws = [generator("augment", seed, item.index) for item in candidates]
    return augment_each([sources[item.reference or 0] for item in candidates], preset.augment, draws)
