"""All settings of a run, nested by what they are for, and checked when a preset is made.

The settings decide everything: a GPU or a cached file that happens to be there never changes a number.
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
    """All settings of customizing, sampling, pools and twins; `normalgen presets` lists them with their meaning.

    Attributes:
        name: what it is called.
        train: how the model is customized.
        sample: how the model makes an image out of noise.
        pool: what a pool consists of.
        twins: how a query's normal twin is made.

    Raises:
        PresetError: a value out of range, or pool settings that no image can be made with.
    """

    name: str
    weights: Annotated[
        str,
        setting(
            "What is customized: bundled, a folder with a prior of your own, or Stable Diffusion 1.x or 2.x (a folder "
            "in diffusers' layout, or owner/name on the hub).",
            flag="--weights",
            decides=("model",),
        ),
    ]
    size: Annotated[
        int,
        setting(
            "Width and height of the images, in pixels; photos are squashed to it.",
            low=32,
            high=2048,
            flag="--size",
            decides=("model", "pool", "twins"),
        ),
    ]
    augment: Annotated[
        Augment,
        setting(
            "How references are augmented: safe is +-5 degrees, size and light, no flips; rotations adds quarter "
            "turns, turned any angle; auto picks safe or turned from the orientation of up to four references (one: "
            "safe).",
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
        """Whether diffusion makes any image of a pool; with `pool.plain` 1 it makes none, and no model is needed."""
        return self.pool.plain < 1

    def settings(self) -> dict[str, Any]:
        """The preset as nested plain data, for `preset.json` and `run.json`."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """The value of each setting by its name, such as "train.steps"; without the preset's own name."""
        return {name: value for name, value in flatten(self.settings()) if name != "name"}

    def deciding(self, what: Decided) -> dict[str, Any]:
        """The preset's name, and the settings that decide "model", "pool" or "twins", by name."""
        known = every_setting()
        return {"preset": self.name} | {
            name: value for name, value in self.flat().items() if what in known[name].decides
        }

    def check_twins(self) -> None:
        """Check that a twin goes through a step, and through as many as `twins.steps` wants.

        Raises:
            PresetError: it goes through none, or fewer.
        """
        steps, strength, wanted = self.sample.steps, self.twins.strength, self.twins.steps
        if not makes_a_step(steps, strength):
            raise PresetError(
                f"--strength must be at least {least_strength(steps):g}, one of the {steps} steps that the model "
                f"samples in, got {strength:g}: the twin would be the photo itself (setting twins.strength)"
            )
        made = steps_made(steps, strength)
        if wanted > made:
            raise PresetError(
                f"--steps must be at most {made}, the steps that --strength {strength:g} of {steps} makes, got "
                f"{wanted}; give fewer, 0 for all of them, or a larger --strength (setting twins.steps)"
            )

    def _check_pool_steps(self) -> None:
        """Check that a pool's images go through as many steps as `sample.explicit_steps` wants."""
        restores, strength, wanted = self.pool.mix > 0, self.pool.strength, self.sample.explicit_steps
        made = steps_made(self.sample.steps, strength if restores else 1)
        if wanted > made:
            of, more = (f"--strength {strength:g} of ", "a larger --strength or ") if restores else ("", "")
            raise PresetError(
                f"--explicit-steps must be at most {made}, the steps that {of}--sampling-steps {self.sample.steps} "
                f"makes, got {wanted}; give fewer, 0 for all of them, or {more}"
                "more --sampling-steps (setting sample.explicit_steps)"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Preset":
        """The inverse of `settings`.

        Raises:
            PresetError: keys missing or unknown: it was written by another version.
        """
        odd = {"name", *every_setting()} ^ {name for name, _ in flatten(settings)}
        if odd:
            raise PresetError(
                "these settings are of another version of normalgen (they differ in: "
                f"{', '.join(sorted(odd))}); make them again"
            )
        return cls(**{name: GROUPS[name](**value) if name in GROUPS else value for name, value in settings.items()})


def flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of nested plain data, "train.steps" for one inside another."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


@cache
def every_setting() -> Mapping[str, Setting]:
    """All settings of a preset by name, such as "train.steps"."""
    found = settings_in(Preset)
    for group, config in GROUPS.items():
        found |= settings_in(config, group)
    return MappingProxyType(found)


def label(name: str) -> str:
    """What a user of the command line knows as the setting or other entry `name` of a record.

    Its option; where two settings share one, the second is named with its own name. Other entries keep their names.
    """
    known = every_setting()
    if name not in known:
        return name
    option = known[name].option
    first = next(other for other, described in known.items() if described.option == option)
    return option if first == name else f"{name} ({option})"
