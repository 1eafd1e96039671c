"""NormalModel draws and restores images with a codec, a denoiser, a prompt encoder and a noise schedule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normalgen.diffusion import MODEL_FILE
from normalgen.diffusion.loading import open_foreign, open_saved
from normalgen.diffusion.parts import Parts
from normalgen.diffusion.sampler import advance
from normalgen.diffusion.saved_model import read_saved
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.images.blending import blended
from normalgen.io.records import write_record
from normalgen.io.rng import generator, noise_like
from normalgen.settings.presets import Preset, change

__all__ = ["NormalModel"]


class NormalModel:
    """A diffusion model of one category's normal images.

    Args:
        parts: from `normalgen.diffusion.loading.open_parts`, customized or not.
        preset: how it samples; `preset.size` is the width and height of its images.
        category: the category that it was customized on; "" before customization.
        noun: the noun in its prompts, such as "solar cell".
        device: "cpu", "cuda", "cuda:1", "mps".
        grey: the category's photos have no colour, so the model draws none: it averages the channels.

    Raises:
        PresetError: the size does not fit the denoiser's grid.
    """

    def __init__(
        self, parts: Parts, preset: Preset, *, category: str, noun: str, device: str = "cpu", grey: bool = False
    ) -> None:
        if preset.size % parts.codec.multiple:
            raise PresetError(f"size must be a multiple of {parts.codec.multiple}, got {preset.size}")
        self._parts = parts.to(device)
        self.preset = preset
        self.category = category
        self.noun = noun
        self.device = device
        self.grey = grey
        self._compiled: Any = None

    @property
    def parts(self) -> Parts:
        """Codec, denoiser, prompt encoder and schedule."""
        return self._parts

    @parts.setter
    def parts(self, parts: Parts) -> None:
        self._parts, self._compiled = parts, None

    @property
    def half(self) -> bool:
        """Whether the networks compute in bfloat16."""
        precision = self.preset.sample.precision
        return precision == "bfloat16" or (precision == "auto" and self.device.startswith("cuda"))

    def autocast(self) -> torch.autocast:
        """Return the context in which the networks compute."""
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.half)

    def using(self, preset: Preset) -> "NormalModel":
        """Return a model with the same weights that samples with another preset.

        Raises:
            PresetError: the preset has other distilled weights; these are merged only when a model is loaded.
        """
        if preset.sample.distilled != self.preset.sample.distilled:
            raise PresetError(f"load the model again to merge {preset.sample.distilled!r} into it")
        return NormalModel(
            self.parts, preset, category=self.category, noun=self.noun, device=self.device, grey=self.grey
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the weights; identifies the model in pools and caches."""
        return self.parts.digest

    def save(self, folder: Path, *, made_with: dict[str, Any] | None = None) -> "NormalModel":
        """Write safetensors and `preset.json` (settings, category, noun, and `made_with`); return this model.

        The weights are saved in half precision. This model takes the rounded weights, so it equals the saved one.
        """
        parts = self.parts.save(folder)
        record = {
            "category": self.category,
            "noun": self.noun,
            "grey": self.grey,
            "digest": parts.digest,
            "preset": self.preset.settings(),
            "merged": parts.distilled,
            "settings": made_with or {},
        }
        write_record(folder / MODEL_FILE, record)
        self.parts = parts
        return self._finished()

    def _finished(self) -> "NormalModel":
        """Prepare for sampling: merge distilled weights, set the networks' precision and device; return this model."""
        wanted, merged = self.preset.sample.distilled, self.parts.distilled
        if merged not in ("", wanted):
            raise PresetError(
                f"the distilled weights {merged!r} were merged into this model when it was saved; sample with these, "
                "or load the model that it was saved from"
            )
        if wanted != merged:
            self.parts = replace(self.parts.merge(Path(wanted)), distilled=wanted)
        if self.half:
            self.parts.denoiser.requires_grad_(False)
            self.parts.lighten()
        self.parts.to(self.device)
        return self

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", changes: Mapping[str, Any] | None = None) -> "NormalModel":
        """Return the model that `save` wrote to `folder`.

        Args:
            folder: folder of the model.
            device: device that it samples on.
            changes: sampling settings that replace the saved ones.

        Raises:
            DataError: the folder holds no model, or its record is damaged.
            MissingWeights: its weights, or the weights that it builds on, are missing, damaged or others than saved.
            PresetError: another version wrote it, or other distilled weights were merged into it.
        """
        record = read_saved(folder)
        if record is None:
            raise DataError(
                f"{folder} holds no model ({MODEL_FILE}); make one with: normalgen customize --out {folder}"
            )
        saved = Preset.from_settings(record["preset"])
        preset, parts = change(saved, **(changes or {})), open_saved(folder, saved)
        if record.get("digest", parts.digest) != parts.digest:
            raise MissingWeights(
                f"the weights in {folder}, or those that they build on, are damaged or replaced: their SHA-256 is not "
                f"the saved one; to train the model again, remove {folder / MODEL_FILE} and run the same command"
            )
        parts = replace(parts, distilled=record.get("merged", ""))
        category, noun, grey = record["category"], record["noun"], record["grey"]
        return cls(parts, preset, category=category, noun=noun, device=device, grey=grey)._finished()

    @classmethod
    def adopt(cls, path: Path, preset: Preset, *, category: str, noun: str, device: str = "cpu") -> "NormalModel":
        """Return another tool's model: a diffusers DreamBooth folder, or a LoRA on the preset's weights.

        Raises:
            MissingWeights: `path` holds neither, or the weights that it builds on are missing.
            PresetError: the preset is not for Stable Diffusion.
        """
        return cls(open_foreign(path, preset), preset, category=category, noun=noun, device=device)._finished()

    def sample(self, indices: Sequence[int], *, prompts: Sequence[str], seed: int) -> Tensor:
        """Return new images from noise: (n, 3, S, S) in [0, 1] on the CPU, one per index.

        Image `i` draws only from `(seed, i)`, whatever else is in the batch. `prompts` has one prompt per index, with
        the placeholder `{object}`.
        """
        generators = [generator("sample", seed, index) for index in indices]
        empty = torch.empty(len(indices), *self.parts.codec.latent_shape(self.preset.size), device=self.device)
        steps = self._timesteps(1.0, None)
        return self._denoise(noise_like(empty, generators), steps, prompts, generators)

    def restore(
        self,
        images: Tensor,
        *,
        prompts: Sequence[str],
        strength: float,
        seed: int,
        indices: Sequence[int | str] | None = None,
        explicit: int | None = None,
    ) -> Tensor:
        """Return the images noised to `strength` and denoised (Li et al. 2024, Eq. 2-3; SDEdit, Meng et al. 2022).

        Args:
            images: (n, 3, S, S) in [0, 1], S the preset's size.
            prompts: one per image.
            strength: share of the noise schedule, in (0, 1].
            seed: with its index decides an image's noise.
            indices: one per image, numbers or names; default 0, 1, ...
            explicit: number of steps made, 0 for all steps of the strength; default: the preset's
                `sample.explicit_steps`.

        Returns:
            (n, 3, S, S) in [0, 1] on the CPU.
        """
        generators = [generator("restore", seed, index) for index in (indices or range(len(images)))]
        steps = self._timesteps(strength, explicit)
        with torch.inference_mode(), self.autocast():
            clean = self.parts.codec.encode(images.to(self.device), generators)
        start = torch.full((len(images),), steps[0])
        noisy = self.parts.schedule.add_noise(clean, noise_like(clean, generators), start)
        return self._denoise(noisy, steps, prompts, generators)

    def repair(
        self,
        images: Tensor,
        masks: Tensor,
        *,
        prompts: Sequence[str],
        strength: float,
        seed: int,
        indices: Sequence[int | str] | None = None,
    ) -> Tensor:
        """Return the images, restored inside the masks alone; every pixel outside stays as it is.

        At every step the latents outside are those of the images, noised to that step (RePaint, Lugmayr et al. 2022),
        so that what is drawn fits them. Inside, near the edge, the restored pixels blend into the images.

        Args are those of `restore`, and `masks`: what to restore, bool (n, S, S).

        Returns:
            (n, 3, S, S) in [0, 1] on the CPU.
        """
        generators = [generator("repair", seed, index) for index in (indices or range(len(images)))]
        steps = self._timesteps(strength, None)
        with torch.inference_mode(), self.autocast():
            clean = self.parts.codec.encode(images.to(self.device), generators)
        noise, inside = noise_like(clean, generators), self.parts.codec.masked(masks.to(self.device))

        def noisy(step: int) -> Tensor:
            return self.parts.schedule.add_noise(clean, noise, torch.full((len(clean),), step))

        drawn = self._denoise(
            noisy(steps[0]), steps, prompts, generators, lambda at, step: torch.where(inside, at, noisy(step))
        )
        return blended(images, drawn, masks)

    def _timesteps(self, strength: float, explicit: int | None) -> list[int]:
        sample = self.preset.sample
        return self.parts.schedule.timesteps(
            sample.steps, strength, sample.explicit_steps if explicit is None else explicit
        )

    @torch.inference_mode()
    def _denoise(
        self,
        latents: Tensor,
        steps: list[int],
        prompts: Sequence[str],
        generators: list[torch.Generator],
        held: Callable[[Tensor, int], Tensor] = lambda latents, step: latents,
    ) -> Tensor:
        codec, schedule = self.parts.codec, self.parts.schedule
        context = self.encode_prompts([*prompts, *self._empty_prompts(len(prompts))])
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            t = torch.full((len(latents),), step, device=self.device)
            latents = held(latents, step)
            output = self._guided(latents, t, context, codec.draw_offsets(generators))
            latents = advance(
                self.preset.sample.sampler, schedule, output, latents, step, following, codec.clip, generators
            )
        with self.autocast():
            images = codec.decode(latents).cpu()
        return images.mean(1, keepdim=True).expand_as(images) if self.grey else images

    def _empty_prompts(self, count: int) -> list[str]:
        return [""] * count if self.preset.sample.guidance > 1 else []

    def _guided(self, latents: Tensor, t: Tensor, context: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Return the output under classifier-free guidance (Ho and Salimans 2021), both halves in one call."""
        if len(context) == len(latents):
            return self.predict(latents, t, context, offsets)
        both = self.predict(torch.cat([latents, latents]), torch.cat([t, t]), context, offsets * 2)
        conditional, unconditional = both.chunk(2)
        return unconditional + self.preset.sample.guidance * (conditional - unconditional)

    def encode_prompts(self, prompts: Sequence[str], kinds: Tensor | None = None) -> Tensor:
        """Return text vectors (n, L, D) of prompts with `{object}`, for the learned object or objects of `kinds`."""
        known = {} if kinds is None else {"kinds": kinds.to(self.device)}
        context: Tensor = self.parts.prompt_encoder(list(prompts), self.noun, **known)
        return context

    def predict(self, latents: Tensor, t: Tensor, context: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Return the denoiser's raw output at steps `t` (N,), on a shifted grid; `NoiseSchedule` interprets it."""
        shifted = self.parts.codec.shift(latents, offsets)
        with self.autocast():
            output: Tensor = self._network()(shifted, t, encoder_hidden_states=context, return_dict=False)[0]
        return self.parts.codec.unshift(output.float(), offsets)

    def _network(self) -> Any:
        """Return the denoiser; compiled, once, if the preset asks for it and gradients are off."""
        if not self.preset.sample.compile or torch.is_grad_enabled():
            return self.parts.denoiser
        if self._compiled is None:
            self._compiled = torch.compile(self.parts.denoiser)
        return self._compiled
