"""Turns what a user types into a plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from normalgen.data.category import Category
from normalgen.data.labels import LabelNames
from normalgen.data.registry import check_said, find_dataset
from normalgen.detectors.specs import DetectorSpec, split_list
from normalgen.errors import DataError
from normalgen.evaluation.arms import Arm
from normalgen.evaluation.protocol import Plan
from normalgen.evaluation.studies import STUDIES, TIERS, Study, Tier
from normalgen.settings.presets import Preset

__all__ = ["ask"]

T = TypeVar("T")
USUAL = Study("", ("one-to-normal", "memory"), ("none", "rotations", "augmented", "generated", "both"))


def ask(
    datasets: str,
    root: Path | None,
    preset: Preset,
    *,
    categories: str | None = None,
    detectors: str | None = None,
    arms: str | None = None,
    shots: str | None = None,
    seeds: int | None = None,
    tests: int | None = None,
    study: str | None = None,
    tier: str | None = None,
    n: int = 32,
    tuning: bool = False,
    device: str = "cpu",
    said: LabelNames | None = None,
) -> Plan:
    """Build a plan from comma-separated lists, a study and a tier; explicit values override those of study and tier.

    Raises:
        DataError: a name is unknown, a set is not under `root`, a number is none, or a folder's name says no label.
    """
    wanted = USUAL if study is None else _named(STUDIES, study, "study")
    spent = TIERS["paper"] if tier is None else _named(TIERS, tier, "tier")
    return Plan(
        _categories(split_list(datasets), root, split_list(categories or ""), spent, said or LabelNames()),
        tuple(DetectorSpec.parse(text) for text in _listed("detectors", detectors, wanted.detectors)),
        tuple(Arm.parse(text) for text in _listed("arms", arms, wanted.arms)),
        _numbers(shots) if shots else spent.shots,
        spent.seeds if seeds is None else seeds,
        n,
        preset=preset,
        tests=spent.tests if tests is None else tests,
        tuning=tuning,
        device=device,
    )


def _categories(
    names: list[str], root: Path | None, only: list[str], spent: Tier, said: LabelNames
) -> tuple[Category, ...]:
    categories: list[Category] = []
    for name in dict.fromkeys(names):
        dataset = find_dataset(name, said)
        known = dataset.categories(root)
        chosen = [category for category in known if category in only] if only else known[: spent.categories or None]
        categories += [dataset.read(root, category) for category in chosen]
    missing = sorted(set(only) - {category.name for category in categories})
    if missing or not categories:
        raise DataError(f"no category {missing[0] if missing else ''!r} in {', '.join(names) or 'no data set'}")
    check_said(said, names, categories)
    return tuple(categories)


def _listed(option: str, given: str | None, usual: Sequence[str]) -> list[str]:
    """The given names, or else the usual ones; each once, in order.

    Raises:
        DataError: the option is given, but names nothing.
    """
    names = list(dict.fromkeys(usual if given is None else split_list(given)))
    if not names:
        raise DataError(f"--{option} must name at least one, such as {usual[0]}, got {given!r}")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers in `text`, each once, in order."""
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in split_list(text)))
    except ValueError:
        raise DataError(f"--shots must be numbers separated by commas, such as 2,4,8, got {text!r}") from None
    if not numbers or min(numbers) < 1:
        raise DataError(f"--shots must be numbers of at least 1, got {text!r}")
    return numbers


def _named(known: dict[str, T], name: str, what: str) -> T:
    if name not in known:
        raise DataError(f"no {what} is called {name!r}; choose from {', '.join(known)}")
    return known[name]
