"""Presets: settings by name, as data. A preset is never edited; `preset(name, **changes)` makes another."""

from dataclasses import fields, replace
from typing import Any

from normalgen.errors import PresetError
from normalgen.settings.configs import Augment, Method, Preset, Sampler, steps_made

__all__ = ["PRESETS", "STABLE_DIFFUSION", "Augment", "Method", "Preset", "Sampler", "change", "preset", "steps_made"]

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"

_TINY = Preset(
    name="tiny",
    weights="bundled",
    size=256,
    sampling_steps=30,
    sampler="ddim",
    explicit_steps=0,
    distilled="",
    guidance=1.0,
    precision="float32",
    compile=False,
    method="fine",
    rank=16,
    training_steps=1000,
    batch=4,
    class_batch=4,
    learning_rate=2e-3,
    warmup=5,
    decay="cosine",
    checkpointing=False,
    views=0,
    prior_weight=0.0,
    class_images=16,
    ema=0.98,
    focus=2.0,
    piece=64,
    feature_weight=1.0,
    augment="auto",
    prompts=3,
    plain=0.5,
    mix=1.0,
    strength=0.034,
    twin_prompts=1,
    twin_strength=0.3,
    twin_steps=1,
    group=8,
    gate=True,
    budget=2.0,
)

_SD15 = replace(
    _TINY,
    name="sd15",
    weights=STABLE_DIFFUSION,
    size=512,
    sampling_steps=50,
    guidance=7.5,
    augment="safe",
    precision="auto",
    method="lora",
    rank=16,
    training_steps=500,
    batch=1,
    class_batch=1,
    learning_rate=1e-4,
    warmup=0,
    decay="constant",
    checkpointing=False,
    views=32,
    prior_weight=1.0,
    class_images=100,
    ema=0.0,
    focus=1.0,
    piece=0,
    feature_weight=0.0,
    plain=0.0,
    mix=0.5,
    strength=0.5,
    twin_prompts=3,
    twin_steps=0,
)

PRESETS: dict[str, Preset] = {
    "tiny": _TINY,
    "sd15": _SD15,
    "paper": replace(
        _SD15,
        name="paper",
        method="full",
        training_steps=800,
        learning_rate=5e-6,
        checkpointing=True,
        class_images=200,
        strength=0.3,
    ),
}


def preset(name: str, **changes: Any) -> Preset:
    """The preset called `name`, with `changes` (fields of `Preset`; None leaves a field as it is).

    Raises:
        PresetError: no such preset, no such field, or a value out of range.
    """
    if name not in PRESETS:
        raise PresetError(f"no preset is called {name!r}; there is {', '.join(PRESETS)}")
    return change(PRESETS[name], **changes)


def change(settings: Preset, **changes: Any) -> Preset:
    """`settings` with `changes`; None leaves a field as it is.

    Raises:
        PresetError: no such field, or a value out of range.
    """
    wanted = {key: value for key, value in changes.items() if value is not None}
    known = [field.name for field in fields(Preset)]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise PresetError(f"a preset has no setting {unknown[0]!r}; it has {', '.join(known)}")
    return replace(settings, **wanted)
