"""Paired differences between arms as tables: what the pool gains, and whether what must fail does fail."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from normalgen.evaluation.cells import Cell, arm_size, plain, select
from normalgen.evaluation.statistics import Gain, gain, metric
from normalgen.evaluation.table_format import Number, Table, gained, set_name, span, tuning_note

__all__ = ["FALSE", "GAINS", "Contrast", "contrasts", "falsification", "gains"]

GAINS = (("generated", "augmented"), ("generated", "rotations"), ("generated", "none"), ("both", "augmented"))
FALSE = (
    ("wrong", "generated"),
    ("wrong", "none"),
    ("poisoned", "unpoisoned"),
    ("no-twins", "generated"),
)
ALL = "all reporting sets"
POINTS = (
    "Percentage points of image AUROC, paired by category, k and seed, where both arms hold as many images (none and "
    "both aside). In brackets the 95 % percentile bootstrap interval: seeds and, the same for all seeds, categories "
    "are resampled inside each data set; with few seeds it is somewhat narrow. [?] where a set has fewer than three "
    "seeds and than three categories. Data sets count the same."
)
STAR_NOTE = "* not every category of the data sets is in it with every seed."
UNEVEN_NOTE = "Of those with *, some lack pairs that were left out because their arms hold different numbers of images."
HEADLINE = (
    "generated - augmented is the number to look at: what diffusion adds to photos that are only turned and relit. "
    "An interval that holds 0 shows no gain; -0.0 lies below it. both holds the images of both, so twice as many."
)
MUST_FAIL = (
    "wrong: the pool of another category must not help. poisoned: anomalous images in the bank must be worse than as "
    "many normal ones (unpoisoned), on the test images that poison no bank. no-twins: the same pool, without the "
    "comparison with the query's normal twin; where twins are worth nothing it loses nothing. as it should: yes, if "
    "the intervals of wrong - generated and of poisoned - unpoisoned lie below 0; NO, if one of wrong or poisoned lies "
    "above."
)
VERDICT = "as it should"


@dataclass(frozen=True)
class Contrast:
    """What one arm gives more than another, somewhere.

    Attributes:
        detector: with its settings.
        dataset: empty for all reporting sets together.
        role: "reporting" or "tuning".
        k: references; None for all.
        size: images that the arms' names say; None if they say none.
        pair: the kinds of arms, first minus second.
        gain: in image AUROC, [-1, 1].
        extra: how many images the first arm added, least and most.
    """

    detector: str
    dataset: str
    role: str
    k: int | None
    size: int | None
    pair: tuple[str, str]
    gain: Gain
    extra: tuple[int, int]

    @property
    def place(self) -> str:
        """The data set as tables name it."""
        return set_name(self.dataset, self.role) if self.dataset else ALL


Row = dict[tuple[str, str], Contrast]


def gains(cells: list[Cell]) -> list[Table]:
    """What the pool gains over plain augmentation, and over nothing; of arms that name a size, in a second table."""
    found = contrasts(plain(cells), GAINS)
    return [
        *_tables("gains", "What the pool gains", [each for each in found if each.size is None], GAINS, HEADLINE),
        *_tables("gains", "What the pool gains, by its size", [each for each in found if each.size], GAINS, HEADLINE),
    ]


def falsification(cells: list[Cell]) -> list[Table]:
    """Arms that must not help: if they do, a gain is not what it seems; none or one table."""
    title, found = "What arms that should fail gain", contrasts(plain(cells), FALSE)
    return _tables("falsification", title, found, FALSE, MUST_FAIL, verdict=_fails)


def contrasts(cells: list[Cell], pairs: Sequence[tuple[str, str]]) -> list[Contrast]:
    """The differences of these pairs of arms that cells exist for, by detector and size: all sets first, then each."""
    found = []
    expected = {role: select(cells, role=role) for role in {cell.role for cell in cells}}
    for detector in sorted({cell.detector for cell in cells}):
        own = select(cells, detector=detector)
        for size in sorted({arm_size(cell.arm) for cell in own}, key=lambda size: (size is not None, size or 0)):
            first = {_sized(arm, size) for arm, _ in pairs}
            for dataset, role, k in _scopes(select(own, arms=first)):
                some = select(own, dataset=dataset or None, role=role, k=k)
                for pair in pairs:
                    arm, base = _sized(pair[0], size), _sized(pair[1], size)
                    if not dataset and len(_sets_with_both(some, arm, base)) < 2:
                        continue
                    if value := gain(some, arm, base, metric("image_auroc"), expected[role]):
                        extra = _extra(select(some, arms={arm}))
                        found.append(Contrast(detector, dataset, role, k, size, pair, value, extra))
    return found


def _sets_with_both(cells: list[Cell], arm: str, base: str) -> set[str]:
    first, second = ({cell.dataset for cell in select(cells, arms={each})} for each in (arm, base))
    return first & second


def _scopes(cells: list[Cell]) -> Iterator[tuple[str, str, int | None]]:
    """Data set, role and k: all reporting sets over all k and by k, then each set, over all k where it has several."""
    places = sorted({(cell.role, cell.dataset, cell.k) for cell in cells})
    shots = sorted({k for role, _, k in places if role == "reporting"})
    yield "", "reporting", None
    if len(shots) > 1:
        yield from (("", "reporting", k) for k in shots)
    for role, dataset in sorted({place[:2] for place in places}):
        own = [k for *place, k in places if (role, dataset) == tuple(place)]
        yield from ((dataset, role, k) for k in ([None] if len(own) > 1 else []) + own)


def _sized(kind: str, size: int | None) -> str:
    return kind if size is None or kind == "none" else f"{kind}:{size}"


def _extra(cells: list[Cell]) -> tuple[int, int]:
    counts = [cell.counts.get("extra", 0) for cell in cells]
    return min(counts), max(counts)


def _tables(
    name: str,
    title: str,
    found: list[Contrast],
    pairs: Sequence[tuple[str, str]],
    note: str,
    verdict: Callable[[Row], str] | None = None,
) -> list[Table]:
    if not found:
        return []
    used = [pair for pair in pairs if any(each.pair == pair for each in found)]
    rows: dict[tuple[object, ...], Row] = {}
    for each in found:
        rows.setdefault((each.detector, each.size, each.place, each.k), {})[each.pair] = each
    heads = ["detector", "data set", "k", "images", *(f"{arm} - {base}" for arm, base in used), "pairs", "seeds"]
    texts = [_row(row, used) for row in rows.values()]
    if verdict:
        heads.append(VERDICT)
        texts = [(*text, verdict(row)) for text, row in zip(texts, rows.values(), strict=True)]
    roles = {each.role for each in found}
    return [
        Table(
            name,
            title,
            tuple(("", head) for head in heads),
            tuple(texts),
            4,
            (note, POINTS, *_star_notes(found), *tuning_note(roles)),
            tuple(_number(name, each) for each in found),
        )
    ]


def _star_notes(found: list[Contrast]) -> list[str]:
    stars = [] if all(each.gain.complete for each in found) else [STAR_NOTE]
    return [*stars, UNEVEN_NOTE] if any(each.gain.uneven for each in found) else stars


def _remark(found: Gain) -> str:
    uneven = [f"{found.uneven} pairs left out, unlike numbers of images"] if found.uneven else []
    return "; ".join([*([] if found.complete else ["incomplete"]), *uneven])


def _fails(row: Row) -> str:
    """Whether arms that should fail do."""
    shown = {pair: each.gain for pair, each in row.items() if pair[0] != "no-twins"}
    helping = [f"{arm} - {base}" for (arm, base), found in shown.items() if (found.low or 0) > 0]
    if helping:
        return f"NO: {', '.join(helping)}"
    must = [shown.get(pair) for pair in FALSE if pair[1] in ("generated", "unpoisoned") and pair[0] != "no-twins"]
    if any(found is None for found in must):
        return "not all measured"
    highs = [found.high for found in must if found]
    if None in highs:
        return "too few seeds"
    return "yes" if all((high or 0) < 0 for high in highs) else "not shown"


def _row(row: Row, used: list[tuple[str, str]]) -> tuple[str, ...]:
    first = next(iter(row.values()))
    values = [row[pair].gain if pair in row else None for pair in used]
    known = [value for value in values if value]
    return (
        first.detector,
        first.place,
        "all" if first.k is None else str(first.k),
        span([count for each in row.values() for count in each.extra]),
        *(gained(value) for value in values),
        span([value.pairs for value in known]),
        span([value.seeds for value in known]),
    )


def _number(name: str, each: Contrast) -> Number:
    arm, base = _sized(each.pair[0], each.size), _sized(each.pair[1], each.size)
    found = each.gain
    return Number(
        table=name,
        dataset=each.dataset,
        role=each.role,
        k=each.k,
        detector=each.detector,
        arm=f"{arm} - {base}",
        metric="image_auroc",
        value=found.value,
        low=found.low,
        high=found.high,
        seeds=found.seeds,
        count=found.pairs,
        remark=_remark(found),
    )
