"""Studies and tiers: what `--study` and `--tier` stand for, as data."""

from dataclasses import dataclass

__all__ = ["ARMS", "STUDIES", "TIERS", "Study", "Tier"]


ARMS = (
    "none",
    "rotations",
    "augmented",
    "generated",
    "both",
    "real",
    "no-twins",
    "wrong",
    "poisoned",
    "unpoisoned",
)


@dataclass(frozen=True)
class Study:
    """A question, and the cells that answer it.

    Attributes:
        asks: the question.
        detectors: as `DetectorSpec.parse` takes them.
        arms: as `Arm.parse` takes them.
        paper: where One-to-Normal answers it.
    """

    asks: str
    detectors: tuple[str, ...]
    arms: tuple[str, ...]
    paper: str = ""


@dataclass(frozen=True)
class Tier:
    """How much is spent: shots, seeds, categories of a data set (0: all), test images of a category (0: all)."""

    shots: tuple[int, ...]
    seeds: int
    categories: int = 0
    tests: int = 0


def _each(setting: str, values: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(f"one-to-normal[{setting}={value}]" for value in values)


STUDIES = {
    "pool-gain": Study(
        "Does the pool make detectors better than plain augmentation does?",
        ("one-to-normal", "memory"),
        ("none", "rotations", "augmented", "generated", "both", "real"),
        "Figure 4",
    ),
    "branches": Study("What is each branch worth?", _each("branches", ("p+", "n+", "p+n")), ("generated",), "Table 4"),
    "prompts": Study(
        "How many prompts shall twins be chosen from?", _each("twins.prompts", (1, 3, 5, 10)), ("generated",), "Table 5"
    ),
    "strength": Study(
        "How far shall a twin leave its query?", _each("twins.strength", (0.1, 0.2, 0.3, 0.4, 0.5)), ("generated",)
    ),
    "pool-size": Study(
        "How many images shall join the references, and how many real photos are they worth?",
        ("memory",),
        ("none", *(f"{arm}:{m}" for arm in ("generated", "augmented", "real") for m in (4, 8, 16, 32, 64))),
        "3.4",
    ),
    "falsify": Study(
        "Do pools that cannot help make it worse?",
        ("one-to-normal", "memory"),
        ("none", "generated", "no-twins", "wrong", "poisoned", "unpoisoned"),
    ),
}
TIERS = {
    "smoke": Tier((2,), 1, categories=1, tests=40),
    "core": Tier((4,), 1),
    "paper": Tier((2, 4, 8), 5),
}
