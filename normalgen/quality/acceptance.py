"""Compares the measures of sets of images with the values that real photos and plain augmentation reach.

Ratios to real photos must be in a range around 1, widened to what augmented references reach. All other measures must
be as good as those of augmented references.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from normalgen.quality.measures import Measures

__all__ = ["COPY", "Line", "lines"]

COPY = 0.001


@dataclass(frozen=True)
class Line:
    """One measure of all sets.

    Attributes:
        measure: its name.
        bar: the values that pass, in words.
        digits: decimal places.
        values: value of each set; None if unknown.
        misses: what is wrong with the images, for each set that misses the bar.
    """

    measure: str
    bar: str
    digits: int
    values: dict[str, float | None]
    misses: dict[str, str]


def lines(measures: Mapping[str, Measures]) -> list[Line]:
    """Return the measures, in order, with their bars; `measures` is from `measure`, with "augmented"."""
    plain = measures["augmented"]
    sharpness = {name: values.sharpness for name, values in measures.items()}
    octaves = {name: _worst(values.octaves) for name, values in measures.items()}
    seams = {name: values.seam for name, values in measures.items()}
    return [
        _ratio("sharpness", sharpness, (0.8, 1.25), "softer than real photos", "grainier than real photos"),
        _ratio("spectrum, worst octave", octaves, (0.5, 2), "lacks detail of one size", "too much detail of one size"),
        _ratio("seam", seams, (0.9, 1.1), "unusually smooth on a grid of 8 px", "edges on a grid of 8 px"),
        _against_augmented(
            "patch distance",
            {name: values.patch_distance for name, values in measures.items()},
            plain.patch_distance,
            "farther from unseen normal photos than augmented references are",
            more=False,
        ),
        _against_augmented(
            "coverage",
            {name: values.nearer for name, values in measures.items()},
            plain.nearer,
            "brings fewer unseen normal patches nearer than augmented references do",
        ),
        _against_augmented(
            "distance closed",
            {name: values.closed for name, values in measures.items()},
            plain.closed,
            "brings unseen normal patches less near than augmented references do",
        ),
        _copies({name: values.copy_distance for name, values in measures.items()}),
    ]


def _worst(octaves: tuple[float | None, ...]) -> float | None:
    """Return the ratio farthest from 1, without the lowest octave, which holds the light; None if one is unknown."""
    known = [ratio for ratio in octaves[1:] if ratio is not None]
    if not known or len(known) < len(octaves) - 1:
        return None
    return max(known, key=lambda ratio: max(ratio, 1 / max(ratio, 1e-9)))


def _ratio(measure: str, values: dict[str, float | None], bar: tuple[float, float], below: str, above: str) -> Line:
    plain = values["augmented"]
    low, high = bar if plain is None else (min(bar[0], plain), max(bar[1], plain))
    misses = {
        name: below if value < low else above
        for name, value in values.items()
        if value is not None and not low <= value <= high
    }
    return Line(measure, f"{low:.3g}-{high:.3g}", 2, {**values}, misses)


def _against_augmented(
    measure: str, values: dict[str, float | None], plain: float | None, words: str, *, more: bool = True
) -> Line:
    def falls_short(value: float | None) -> bool:
        return value is not None and plain is not None and (value < plain if more else value > plain)

    misses = {name: words for name, value in values.items() if falls_short(value)}
    return Line(
        measure, f"at {'least' if more else 'most'} augmented's", 3 if measure == "coverage" else 4, values, misses
    )


def _copies(values: dict[str, float | None]) -> Line:
    words = "an image is a copy of a reference, or of an augmented one"
    misses = {name: words for name, distance in values.items() if distance is not None and distance < COPY}
    return Line("likest pair", f"at least {COPY:g}", 3, {**values}, misses)
