"""The meaning of `--study` and `--tier`, as data."""

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
    "unlabeled",
    "unlabeled-blind",
    "unlabeled-softpatch",
    "unlabeled-oracle",
)


@dataclass(frozen=True)
class Study:
    """A question, and the cells that answer it.

    Attributes:
        asks: the question.
        detectors: texts for `DetectorSpec.parse`.
        arms: texts for `Arm.parse`.
        paper: where One-to-Normal's paper answers it.
    """

    asks: str
    detectors: tuple[str, ...]
    arms: tuple[str, ...]
    paper: str = ""


@dataclass(frozen=True)
class Tier:
    """How much to measure: shots, seeds, categories per data set (0: all), test images per category (0: all)."""

    shots: tuple[int, ...]
    seeds: int
    categories: int = 0
    tests: int = 0


def _variants(setting: str, values: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(f"one-to-normal[{setting}={value}]" for value in values)


STUDIES = {
    "pool-gain": Study(
        "Does the pool make detectors better than plain augmentation does?",
        ("one-to-normal", "memory"),
        ("none", "rotations", "augmented", "generated", "both", "real"),
        "Figure 4",
    ),
    "branches": Study(
        "What is each branch worth?", _variants("branches", ("p+", "n+", "p+n")), ("generated",), "Table 4"
    ),
    "prompts": Study(
        "From how many prompts should twins be chosen?",
        _variants("twins.prompts", (1, 3, 5, 10)),
        ("generated",),
        "Table 5",
    ),
    "strength": Study(
        "How far should a twin move from its query?",
        _variants("twins.strength", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("generated",),
    ),
    "pool-size": Study(
        "How many images should join the references, and how many real photos are they worth?",
        ("memory",),
        ("none", *(f"{arm}:{m}" for arm in ("generated", "augmented", "real") for m in (4, 8, 16, 32, 64))),
        "3.4",
    ),
    "falsify": Study(
        "Do pools that cannot help make it worse?",
        ("one-to-normal", "memory"),
        ("none", "generated", "no-twins", "wrong", "poisoned", "unpoisoned"),
    ),
    "unlabeled": Study(
        "Are unlabeled photos that the screening keeps worth more than augmentation, and as much as if one knew them?",
        ("memory", "one-to-normal[branches=n]"),
        ("none", "augmented:24@0.1", "unlabeled", "unlabeled-blind", "unlabeled-oracle"),
    ),
}
TIERS = {
    "smoke": Tier((2,), 1, categories=1, tests=40),
    "core": Tier((4,), 1),
    "paper": Tier((2, 4, 8), 5),
}
