"""How many sampling steps a strength makes."""

import math

from normalgen.errors import PresetError

__all__ = ["least_strength", "makes_a_step", "steps_made"]


def steps_made(steps: int, strength: float) -> int:
    """How many of `steps` sampling steps a restoring of `strength` makes: floor(steps * strength).

    Raises:
        PresetError: strength outside (0, 1], or so small that no step would be made: the image would come back
            untouched and pass for a restored one.
    """
    if not 0 < strength <= 1:
        raise PresetError(f"strength must be in (0, 1], got {strength:g}")
    if not makes_a_step(steps, strength):
        raise PresetError(
            f"strength {strength:g} of {steps} sampling steps makes no step; "
            f"use a strength of at least {least_strength(steps):g} or more steps"
        )
    return _floor(steps * strength)


def makes_a_step(steps: int, strength: float) -> bool:
    """Whether `strength` makes any of `steps` sampling steps."""
    return _floor(steps * strength) >= 1


def least_strength(steps: int) -> float:
    """The least strength, in thousandths, that makes one of `steps` sampling steps."""
    return math.ceil(1000 / steps) / 1000


def _floor(steps: float) -> int:
    return math.floor(steps + 1e-9)
