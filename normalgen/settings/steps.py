"""The number of sampling steps that a strength gives."""

import math

from normalgen.errors import PresetError

__all__ = ["least_strength", "makes_a_step", "steps_made"]


def steps_made(steps: int, strength: float) -> int:
    """Return how many of `steps` sampling steps a restoration at `strength` runs: floor(steps * strength).

    Raises:
        PresetError: strength is outside (0, 1], or too small for one step: the unchanged image would pass for a
            restored one.
    """
    if not 0 < strength <= 1:
        raise PresetError(f"strength must be in (0, 1], got {strength:g}")
    if not makes_a_step(steps, strength):
        raise PresetError(
            f"strength {strength:g} of {steps} sampling steps gives no step; "
            f"use a strength of at least {least_strength(steps):g} or more steps"
        )
    return _floor(steps * strength)


def makes_a_step(steps: int, strength: float) -> bool:
    """Whether `strength` gives at least one of `steps` sampling steps."""
    return _floor(steps * strength) >= 1


def least_strength(steps: int) -> float:
    """Return the least strength, in thousandths, that gives one of `steps` sampling steps."""
    return math.ceil(1000 / steps) / 1000


def _floor(steps: float) -> int:
    return math.floor(steps + 1e-9)
