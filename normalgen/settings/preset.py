"""All settings of a run, grouped by purpose and checked when a preset is made.

Only the settings decide a result: a GPU or a cached file never changes a number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

from normalgen.errors import PresetError
from normalgen.settings.configs import Augment, PoolConfig, SampleConfig, TrainConfig, TwinConfig
from normalgen.settings.setting import Decided, Setting, setting, settings_in
from normalgen.settings.steps import least_strength, makes_a_step, steps_made

__all__ = ["GROUPS", "Preset", "every_setting", "flatten", "label"]

GROUPS: Mapping[str, type] = MappingProxyType(
    {"train": TrainConfig, "sample": SampleConfig, "pool": PoolConfig, "twins": TwinConfig}
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All settings for customizing, sampling, pools and twins; `normalgen presets` lists and explains them.

    Attributes:
        name: of the preset.
        train: settings for customizing the model.
        sample: settings for sampling an image from noise.
        pool: settings for the contents of a pool.
        twins: settings for making the normal twin of a query.

    Raises:
        PresetError: a value is out of range, or the pool settings cannot make any image.
    """

    name: str
    weights: Annotated[
        str,
        setting(
            "Model to customize: bundled, a folder with your own prior, or Stable Diffusion 1.x or 2.x (a folder in "
            "diffusers' layout, or owner/name on the hub).",
            flag="--weights",
            decides=("model",),
        ),
    ]
    size: Annotated[
        int,
        setting(
            "Width and height of the images, in pixels; photos are squashed to this square.",
            low=32,
            high=2048,
            flag="--size",
            decides=("model", "pool", "twins"),
        ),
    ]
    augment: Annotated[
        Augment,
        setting(
            "How to augment references: safe changes angle (+-5 degrees), size and light; flips adds "
            "mirroring, rotations quarter turns, turned any angle; auto picks safe or turned by the orientation of "
            "up to four references (one: safe).",
            flag="--augment",
            decides=("model", "pool"),
        ),
    ]
    train: TrainConfig
    sample: SampleConfig
    pool: PoolConfig
    twins: TwinConfig

    def __post_init__(self) -> None:
        for name, value in self.flat().items():
            every_setting()[name].check(value)
        if self.draws:
            self._check_pool_steps()

    @property
    def draws(self) -> bool:
        """Whether diffusion makes any image of a pool. With `pool.plain` 1 it makes none, and no model is needed."""
        return self.pool.plain < 1

    def settings(self) -> dict[str, Any]:
        """Return the preset as nested plain data, for `preset.json` and `run.json`."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """Return the value of each setting by name, such as "train.steps"; without the name of the preset."""
        return {name: value for name, value in flatten(self.settings()) if name != "name"}

    def deciding(self, what: Decided) -> dict[str, Any]:
        """Return the preset's name and the settings that decide "model", "pool" or "twins", by name."""
        known = every_setting()
        return {"preset": self.name} | {
            name: value for name, value in self.flat().items() if what in known[name].decides
        }

    def check_twins(self) -> None:
        """Check that a twin goes through at least one step, and through as many as `twins.steps` asks for.

        Raises:
            PresetError: it goes through none, or fewer.
        """
        steps, strength, wanted = self.sample.steps, self.twins.strength, self.twins.steps
        if not makes_a_step(steps, strength):
            raise PresetError(
                f"--strength must be at least {least_strength(steps):g}, one of the model's {steps} sampling "
                f"steps, got {strength:g}: the twin would be the photo itself (setting twins.strength)"
            )
        made = steps_made(steps, strength)
        if wanted > made:
            raise PresetError(
                f"--steps must be at most {made}, the steps that --strength {strength:g} of {steps} gives, got "
                f"{wanted}; give fewer, 0 for all of them, or a larger --strength (setting twins.steps)"
            )

    def _check_pool_steps(self) -> None:
        """Check that a pool's images go through as many steps as `sample.explicit_steps` asks for."""
        restores, strength, wanted = self.pool.mix > 0, self.pool.strength, self.sample.explicit_steps
        made = steps_made(self.sample.steps, strength if restores else 1)
        if wanted > made:
            of, more = (f"--strength {strength:g} of ", "a larger --strength or ") if restores else ("", "")
            raise PresetError(
                f"--explicit-steps must be at most {made}, the steps that {of}--sampling-steps {self.sample.steps} "
                f"gives, got {wanted}; give fewer, 0 for all of them, or {more}"
                "more --sampling-steps (setting sample.explicit_steps)"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Preset":
        """Make a preset from what `settings` returns.

        Raises:
            PresetError: keys are missing or unknown, because another version wrote them.
        """
        unlike = {"name", *every_setting()} ^ {name for name, _ in flatten(settings)}
        if unlike:
            raise PresetError(
                "these settings are from another version of normalgen (they differ in: "
                f"{', '.join(sorted(unlike))}); make them again"
            )
        if not isinstance(settings["name"], str) or any(not isinstance(settings.get(name), Mapping) for name in GROUPS):
            raise PresetError("these settings are damaged: a preset has a name and groups of settings; make them again")
        return cls(**{name: GROUPS[name](**value) if name in GROUPS else value for name, value in settings.items()})


def flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values of nested plain data; a nested name is like "train.steps"."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


@cache
def every_setting() -> Mapping[str, Setting]:
    """Return all settings of a preset by name, such as "train.steps"."""
    settings = settings_in(Preset)
    for group, config in GROUPS.items():
        settings |= settings_in(config, group)
    return MappingProxyType(settings)


def label(name: str) -> str:
    """Return the command-line option of the setting `name`; other entries of a record keep their names.

    If two settings share an option, the second gets its own name, too.
    """
    known = every_setting()
    if name not in known:
        return name
    option = known[name].option
    first = next(key for key, described in known.items() if described.option == option)
    return option if first == name else f"{name} ({option})"
