"""Every setting of a run, in one place, checked when it is made.

The settings decide everything: a GPU or a cached file that happens to be there never changes a number.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from normalgen.errors import PresetError
from normalgen.settings.prompts import prompt_set

__all__ = ["Augment", "Method", "Preset", "Sampler", "least_strength", "steps_made"]

Augment = Literal["auto", "none", "safe", "flips", "rotations", "turned"]
Method = Literal["full", "fine", "lora"]
Sampler = Literal["ddim", "lcm", "tcd"]
Precision = Literal["auto", "float32", "bfloat16"]
Decay = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Preset:
    """All settings of customizing, sampling and pooling.

    Attributes:
        name: what it is called.
        weights: where the un-customized parts come from; "bundled" is the prior inside the package, else a folder with
            a prior of your own (examples/prior/train_prior.py makes one), or Stable Diffusion 1.x or 2.x: a folder in
            diffusers' layout, or its name on the Hugging Face hub.
        size: width and height of the images, pixels.
        sampling_steps: steps of a whole denoising, from pure noise; strength s makes the last floor(s * steps) of them.
        sampler: "ddim"; "lcm" or "tcd" for weights distilled for them.
        explicit_steps: steps really made, picked evenly from those of `sampling_steps` and strength; 0 makes all.
        distilled: a LoRA, file or folder, that is merged into the denoiser for sampling alone: LCM-LoRA, TCD-LoRA.
        guidance: classifier-free guidance scale; 1 is off, and takes half the time.
        precision: of the denoiser's arithmetic: "float32", "bfloat16", or "auto": bfloat16 on CUDA, float32 elsewhere.
        compile: whether torch.compile makes the sampling denoiser faster, after a minute or more of compiling.
        method: what is trained: all weights of the denoiser ("full") or low-rank adapters of its attention ("lora",
            `rank`), and the object's token; or its fine stage alone ("fine": what restoring at low strengths needs, in
            a quarter of the time).
        training_steps, learning_rate: of the customization.
        warmup, decay: steps until the learning rate is reached, and how it falls from there: "constant" does not,
            "cosine" does, to a hundredth.
        checkpointing: activations are computed twice instead of kept, which saves memory in training.
        views: augmentations of each reference that training cycles through, encoded once; 0 augments at every step.
        batch, class_batch: reference images and class images in a step.
        prior_weight: weight of the class images in the loss (prior preservation); 0 leaves them out.
        class_images: how many class images the un-customized model makes.
        ema: decay of the average of the weights that is kept in the end.
        focus: noise levels are drawn as u^focus in training, u uniform; above 1 the low ones, where img2img works, are
            seen more.
        piece: training looks at random squares of this width, pixels; 0 is the whole image.
        feature_weight: of the difference between features of the image and of the guess, in the loss.
        augment: which changes a reference may undergo; see `normalgen.images.augment`. "auto" takes what suits the
            references (`normalgen.customize.auto_augment`).
        prompts: which prompt set the pool cycles through (1, 3, 5 or 10).
        plain: share of the pool that are augmented references as they are, without diffusion.
        mix: share of the others restored from augmented references (img2img); the rest is drawn from noise (txt2img).
        strength: share of the noise schedule that an img2img image goes through, in (0, 1].
        twin_prompts: which prompt set a query's twin is chosen from (1, 3, 5 or 10).
        twin_strength: share of the noise schedule that a query goes through to become its twin, in (0, 1].
        twin_steps: steps really made for a twin, as `explicit_steps`; 0 makes all that twin_strength has.
        group: images made together; part of what makes a pool's bytes.
        gate: whether candidates are judged before they enter the pool (normalgen.quality).
        budget: candidates made at most for each image that is wanted, when the gate rejects some.
    """

    name: str
    weights: str
    size: int
    sampling_steps: int
    sampler: Sampler
    explicit_steps: int
    distilled: str
    guidance: float
    precision: Precision
    compile: bool
    method: Method
    rank: int
    training_steps: int
    batch: int
    class_batch: int
    learning_rate: float
    warmup: int
    decay: Decay
    checkpointing: bool
    views: int
    prior_weight: float
    class_images: int
    ema: float
    focus: float
    piece: int
    feature_weight: float
    augment: Augment
    prompts: int
    plain: float
    mix: float
    strength: float
    twin_prompts: int
    twin_strength: float
    twin_steps: int
    group: int
    gate: bool
    budget: float

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise PresetError(f"{name} must be from {low:g} to {high:g}, got {value:g}")
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise PresetError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        steps_made(self.sampling_steps, self.strength)
        for prompts in (self.prompts, self.twin_prompts):
            prompt_set(prompts)

    @property
    def draws(self) -> bool:
        """Whether diffusion makes any image of a pool; with `plain` 1 it makes none, and no model is needed."""
        return self.plain < 1

    def settings(self) -> dict[str, Any]:
        """The preset as plain data, for `preset.json` and `run.json`."""
        return asdict(self)

    def only(self, names: Iterable[str]) -> dict[str, Any]:
        """The preset's name and the settings called `names`."""
        return {"preset": self.name} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Preset":
        """The inverse of `settings`.

        Raises:
            PresetError: keys missing or unknown: it was written by another version.
        """
        names = {field.name for field in fields(cls)}
        if names != set(settings):
            odd = ", ".join(sorted(names ^ set(settings)))
            raise PresetError(
                f"these settings are of another version of normalgen (they differ in: {odd}); make them anew"
            )
        return cls(**settings)


def steps_made(steps: int, strength: float) -> int:
    """How many of `steps` sampling steps a restoring of `strength` makes: floor(steps * strength).

    Raises:
        PresetError: strength outside (0, 1], or so small that no step would be made: the image would come back
            untouched and pass for a restored one.
    """
    if not 0 < strength <= 1:
        raise PresetError(f"strength must be in (0, 1], got {strength:g}")
    made = math.floor(steps * strength + 1e-9)
    if made < 1:
        raise PresetError(
            f"strength {strength:g} of {steps} sampling steps makes no step; "
            f"use a strength of at least {least_strength(steps):g} or more steps"
        )
    return made


def least_strength(steps: int) -> float:
    """The least strength, in thousandths, that makes one of `steps` sampling steps."""
    return math.ceil(1000 / steps) / 1000


_CHOICES: dict[str, Any] = {
    "augment": Augment,
    "method": Method,
    "sampler": Sampler,
    "precision": Precision,
    "decay": Decay,
}

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("size", 32, 2048),
    ("sampling_steps", 1, 1000),
    ("explicit_steps", 0, 1000),
    ("twin_strength", 0.001, 1),
    ("twin_steps", 0, 1000),
    ("guidance", 1, 50),
    ("rank", 1, 1024),
    ("training_steps", 0, 1_000_000),
    ("batch", 1, 1024),
    ("class_batch", 1, 1024),
    ("learning_rate", 0, 1),
    ("warmup", 0, 1_000_000),
    ("views", 0, 100_000),
    ("prior_weight", 0, 100),
    ("class_images", 0, 100_000),
    ("ema", 0, 1),
    ("focus", 0.1, 10),
    ("piece", 0, 2048),
    ("feature_weight", 0, 100),
    ("plain", 0, 1),
    ("mix", 0, 1),
    ("group", 1, 1024),
    ("budget", 1, 1000),
)
