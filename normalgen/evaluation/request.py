"""From what a user types to a plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from normalgen.data.category import Category
from normalgen.data.registry import find_dataset
from normalgen.errors import DataError
from normalgen.evaluation.arms import Arm
from normalgen.evaluation.detector_specs import DetectorSpec, split_list
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
) -> Plan:
    """The plan that lists by comma, a study and a tier make; what is given beats what the study or tier says.

    Raises:
        DataError: an unknown name, a set that is not under `root`, or a word where a number should be.
    """
    wanted = USUAL if study is None else _named(STUDIES, study, "study")
    spent = TIERS["paper"] if tier is None else _named(TIERS, tier, "tier")
    return Plan(
        _categories(split_list(datasets), root, split_list(categories or ""), spent),
        tuple(DetectorSpec.parse(text) for text in _listed(detectors, wanted.detectors)),
        tuple(Arm.parse(text) for text in _listed(arms, wanted.arms)),
        _numbers(shots) if shots else spent.shots,
        spent.seeds if seeds is None else seeds,
        n,
        preset=preset,
        tests=spent.tests if tests is None else tests,
        tuning=tuning,
        device=device,
    )


def _categories(names: list[str], root: Path | None, only: list[str], spent: Tier) -> tuple[Category, ...]:
    found = []
    for name in dict.fromkeys(names):
        dataset = find_dataset(name)
        inside = dataset.categories(root)
        chosen = [each for each in inside if each in only] if only else inside[: spent.categories or None]
        found += [dataset.read(root, each) for each in chosen]
    missing = sorted(set(only) - {category.name for category in found})
    if missing or not found:
        raise DataError(f"no category {missing[0] if missing else ''!r} in {', '.join(names) or 'no data set'}")
    return tuple(found)


def _listed(given: str | None, usual: Sequence[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(usual if given is None else split_list(given)))


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers in order, each once."""
    try:
        found = tuple(dict.fromkeys(int(part) for part in split_list(text)))
    except ValueError:
        raise DataError(f"--shots must be numbers by comma, such as 2,4,8, got {text!r}") from None
    if not found or min(found) < 1:
        raise DataError(f"--shots must be numbers of at least 1, got {text!r}")
    return found


def _named(known: dict[str, T], name: str, what: str) -> T:
    if name not in known:
        raise DataError(f"no {what} is called {name!r}; there is {', '.join(known)}")
    return known[name]
