"""Tables of paired differences between arms: what the pool gains, and whether the arms that must fail do fail."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from math import nan
from typing import Any

from normalgen.evaluation.cells import Frame, optional, plain
from normalgen.evaluation.statistics import AUROC, CELL, Gain, gain
from normalgen.evaluation.table_format import Table, build, gained, span, tuning_note

__all__ = ["FALSE", "GAINS", "contrasts", "falsification", "gains"]

GAINS = (("generated", "augmented"), ("generated", "rotations"), ("generated", "none"), ("both", "augmented"))
FALSE = (
    ("wrong", "generated"),
    ("wrong", "none"),
    ("poisoned", "unpoisoned"),
    ("no-twins", "generated"),
)
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
MUST = ("wrong - generated", "poisoned - unpoisoned")
VERDICT = "as it should"
CONTRAST = ["row", "detector", "arm_size", "dataset", "role", "k", "arm", "head", "text", "remark", "least", "most"]
CONTRAST += [field.name for field in fields(Gain)]
Pairs = Sequence[tuple[str, str]]


def gains(cells: Frame) -> list[Table]:
    """Tables of the pool's gain over plain augmentation and over nothing; arms that name a size get a second table."""
    result = contrasts(plain(cells), GAINS)
    return [
        *_table("gains", "What the pool gains", result[result.arm_size == 0], HEADLINE),
        *_table("gains", "What the pool gains, by its size", result[result.arm_size > 0], HEADLINE),
    ]


def falsification(cells: Frame) -> list[Table]:
    """The table of arms that must not help: if they do, a gain is not what it seems; empty without such cells."""
    result = contrasts(plain(cells), FALSE)
    verdicts = {row: _verdict(own) for row, own in result.groupby("row")}
    result = result.assign(**{VERDICT: result.row.map(verdicts)})
    return _table("falsification", "What arms that should fail gain", result, MUST_FAIL, [VERDICT])


def contrasts(cells: Frame, pairs: Pairs) -> Frame:
    """The differences between these pairs of arms, by detector and size: over all sets first, then for each set.

    Returns:
        A row per difference that has cells, as `build` takes it, with the arms' size (0: they name none), complete,
        uneven, and the least and most images that the first arm adds. An empty data set or k stands for all.
    """
    rows = []
    cells = cells[[*CELL, "role", "arm_size"]]
    sets = dict(iter(cells.groupby("role")))
    for row, (which, own) in enumerate(_scopes(cells, [arm for arm, _ in pairs])):
        for kinds in pairs:
            arm, base = (_sized(kind, which["arm_size"]) for kind in kinds)
            result = gain(own, arm, base, sets.get(which["role"]))
            if result and (which["dataset"] or result.sets > 1):
                added = own["counts.extra"][own.arm == arm]
                text = {"head": ("", " - ".join(kinds)), "text": gained(result), "remark": _remark(result)}
                images = {"least": added.min(), "most": added.max()}
                rows.append({"row": row, **which, "arm": f"{arm} - {base}", **text, **images, **vars(result)})
    result = optional("pandas").DataFrame(rows, columns=CONTRAST)
    return result.astype({"low": float, "high": float}).assign(metric=AUROC)


def _scopes(cells: Frame, kinds: list[str]) -> Iterator[tuple[dict[str, Any], Frame]]:
    """Yield each group (detector, size, data set, role and k) with its cells."""
    for detector, cells_of in cells.groupby("detector"):
        for size in sorted(set(cells_of.arm_size)):
            arms = [_sized(kind, size) for kind in kinds]
            for dataset, role, k in _sets_and_shots(cells_of[cells_of.arm.isin(arms)]):
                own = cells_of[(cells_of.role == role) & ((cells_of.dataset == dataset) | (dataset == ""))]
                which = {"detector": detector, "arm_size": size, "dataset": dataset, "role": role, "k": k}
                yield which, own[(own.k == k) | (k != k)]


def _sets_and_shots(cells: Frame) -> list[tuple[str, str, float]]:
    """Data set, role and k of each group: all reporting sets over all k and by k, then each set in the same way."""
    shots = sorted(set(cells.k[cells.role == "reporting"]))
    scopes = [("", "reporting", k) for k in [nan, *(shots if len(shots) > 1 else [])]]
    for (role, dataset), own in cells.groupby(["role", "dataset"]):
        shots = sorted(set(own.k))
        scopes += [(dataset, role, k) for k in [*([nan] if len(shots) > 1 else []), *shots]]
    return scopes


def _sized(kind: str, size: int) -> str:
    return f"{kind}:{size}" if size and kind != "none" else kind


def _table(name: str, title: str, result: Frame, note: str, after: Sequence[str] = ()) -> list[Table]:
    stars = [STAR_NOTE] * (not result.complete.all()) + [UNEVEN_NOTE] * bool(result.uneven.any())
    images = {row: span([own.least.min(), own.most.max()]) for row, own in result.groupby("row")}
    heads = [("", f"{arm} - {base}") for arm, base in (*GAINS, *FALSE)]
    used = [head for head in heads if head in set(result["head"])]
    numbers, labels = result.assign(images=result.row.map(images)), ["detector", "data set", "k", "images"]
    notes = [note, POINTS, *stars, *tuning_note(result)]
    return build(name, title, numbers, labels, used, notes, ["pairs", "seeds", *after])


def _remark(result: Gain) -> str:
    uneven = [f"{result.uneven} pairs left out, unlike numbers of images"] if result.uneven else []
    return "; ".join([*([] if result.complete else ["incomplete"]), *uneven])


def _verdict(own: Frame) -> str:
    """The verdict on whether the arms that should fail do."""
    results = {
        name: result for (_, name), result in own.set_index("head").iterrows() if not name.startswith("no-twins")
    }
    helping = [name for name, gain in results.items() if gain.low > 0]
    if helping:
        return f"NO: {', '.join(helping)}"
    if not set(MUST) <= set(results):
        return "not all measured"
    highs = [results[name].high for name in MUST]
    if any(high != high for high in highs):
        return "too few seeds"
    return "yes" if max(highs) < 0 else "not shown"
