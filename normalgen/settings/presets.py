"""Named presets, as data. A preset never changes; `preset(name, **changes)` makes a new one."""

from collections.abc import Mapping
from typing import Any

from normalgen.errors import PresetError
from normalgen.settings.configs import Augment, Method, PoolConfig, SampleConfig, Sampler, TrainConfig, TwinConfig
from normalgen.settings.preset import GROUPS, Preset, every_setting
from normalgen.settings.steps import steps_made

__all__ = ["PRESETS", "STABLE_DIFFUSION", "Augment", "Method", "Preset", "Sampler", "change", "preset", "steps_made"]

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def preset(name: str, **changes: Any) -> Preset:
    """Return the preset called `name` with changes, as in `preset("tiny", train={"steps": 500}, size=512)`.

    Raises:
        PresetError: no such preset or setting, or a value is out of range or does not fit the others.
    """
    if name not in PRESETS:
        raise PresetError(f"no preset is called {name!r}; choose one of {', '.join(PRESETS)}")
    return change(PRESETS[name], **changes)


def change(settings: Preset, **changes: Any) -> Preset:
    """Return a copy of `settings` with changes; None leaves a setting unchanged.

    Args:
        settings: the preset to start from.
        changes: by name; a group of settings takes a dict: `change(settings, size=64, pool={"mix": 1})`. A change of
            twins also runs `check_twins`.

    Raises:
        PresetError: no such setting, or a value is out of range or does not fit the others.
    """
    values = settings.settings()
    for name, value in changes.items():
        _put(values, name, value)
    changed = Preset.from_settings(values)
    if any(value is not None for value in (changes.get("twins") or {}).values()):
        changed.check_twins()
    return changed


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    if name not in values:
        raise PresetError(f"a preset has no setting {name!r}; choose one of {', '.join(every_setting())}")
    if value is None:
        return
    if name not in GROUPS:
        values[name] = value
        return
    if not isinstance(value, Mapping):
        raise PresetError(f"{name} is a group of settings; give a dict such as {{'{next(iter(values[name]))}': ...}}")
    for inner, item in value.items():
        if inner not in values[name]:
            raise PresetError(f"a preset has no setting '{name}.{inner}'; choose one of {', '.join(every_setting())}")
        if item is not None:
            values[name][inner] = item


_TINY = Preset(
    name="tiny",
    weights="bundled",
    size=256,
    augment="auto",
    train=TrainConfig(
        method="fine",
        rank=16,
        steps=1000,
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
    ),
    sample=SampleConfig(
        steps=30,
        explicit_steps=0,
        sampler="ddim",
        distilled="",
        guidance=1.0,
        precision="float32",
        compile=False,
    ),
    pool=PoolConfig(
        plain=0.5,
        mix=1.0,
        strength=0.034,
        prompts=3,
        group=8,
        gate=True,
        gate_features="embedded",
        budget=2.0,
    ),
    twins=TwinConfig(
        prompts=1,
        strength=0.3,
        steps=1,
    ),
)

_SD15 = change(
    _TINY,
    name="sd15",
    weights=STABLE_DIFFUSION,
    size=512,
    augment="safe",
    train={
        "method": "lora",
        "rank": 16,
        "steps": 500,
        "batch": 1,
        "class_batch": 1,
        "learning_rate": 1e-4,
        "warmup": 0,
        "decay": "constant",
        "checkpointing": False,
        "views": 32,
        "prior_weight": 1.0,
        "class_images": 100,
        "ema": 0.0,
        "focus": 1.0,
        "piece": 0,
        "feature_weight": 0.0,
    },
    sample={
        "steps": 50,
        "guidance": 7.5,
        "precision": "auto",
    },
    pool={
        "plain": 0.0,
        "mix": 0.5,
        "strength": 0.5,
    },
    twins={
        "prompts": 3,
        "steps": 0,
    },
)

PRESETS: dict[str, Preset] = {
    "tiny": _TINY,
    "sd15": _SD15,
    "paper": change(
        _SD15,
        name="paper",
        train={
            "method": "full",
            "steps": 800,
            "learning_rate": 5e-6,
            "checkpointing": True,
            "class_images": 200,
        },
        pool={
            "strength": 0.3,
        },
    ),
}
