"""The tables behind the main ones: branches, pool sizes, worth in real photos, settings, cost, the paper's numbers."""

from collections.abc import Iterable
from statistics import fmean

from normalgen.evaluation.cells import FAILING, Cell, arm_kind, arm_rank, arm_size, plain, select, sized
from normalgen.evaluation.paper_numbers import MARK, NOTES, PUBLISHED, published_name, remarks
from normalgen.evaluation.statistics import Gain, Group, Mean, Value, Worth, branch, gain, mean_of, means, metric, worth
from normalgen.evaluation.table_format import Number, Table, percent, set_name, star_note, tuning_note

__all__ = ["branches", "costs", "published_too", "settings_studies", "sizes", "worth_in_photos"]

BRANCHES = ("p", "n", "text", "fused")
WORTHLESS = ("none", "real", *FAILING)
FEWEST_SIZES = 3
STAGES = ("customize", "pool", "fit", "predict")
AUROC = metric("image_auroc")
SAME = "Image AUROC in percent; inside a row over the categories and seeds that all its settings were measured with."


def branches(cells: list[Cell]) -> list[Table]:
    """What each branch finds by itself; none or one table."""
    shown = [cell for cell in plain(cells) if cell.branches]
    names = sorted({name for cell in shown for name in cell.branches}, key=_branch_rank)
    given: dict[str, Value] = {name: branch(name) for name in names}
    note = "Image AUROC in percent. p: against the query's normal twin. n: against the bank. text: against sentences."
    return _compared("branches", "By branch", "branch", shown, given, note)


def settings_studies(cells: list[Cell]) -> list[Table]:
    """Detectors with settings in brackets side by side: a table for each detector and each set of settings' names.

    All columns of a row are means over the same categories and seeds, those that each was measured with.
    """
    studies = sorted({(cell.method, _names(cell.setting)) for cell in cells if cell.setting})
    tables = []
    for method, names in studies:
        bracketed = [cell for cell in cells if cell.method == method and _names(cell.setting) == names]
        rows = {_row_key(cell) for cell in bracketed}
        own = bracketed + [cell for cell in cells if not cell.setting and _row_key(cell) in rows]
        own = _shared(own)
        found = {cell.setting for cell in own}
        given = {setting or "default": _with_setting(setting) for setting in sorted(found, key=_setting_rank)}
        title = f"{method}: {names.replace(',', ', ')}"
        tables += _compared("settings", title, "setting", own, given, SAME)
    return tables


def sizes(cells: list[Cell]) -> list[Table]:
    """Image AUROC by how many images join the references, of arms that come in several sizes; none or one table."""
    shown = sized(plain(cells))
    counts = sorted({arm_size(cell.arm) or 0 for cell in shown})
    if not counts:
        return []
    places = {(cell.dataset, cell.role, cell.k, cell.detector) for cell in shown}
    without = select(plain(cells), arms={"none"})
    shown += [cell for cell in without if (cell.dataset, cell.role, cell.k, cell.detector) in places]
    found = means(shown, AUROC)
    kinds = sorted({arm_kind(cell.arm) for cell in shown} - {"none"}, key=arm_rank)
    rows, numbers = [], []
    for role, dataset, k, detector in _places(found):
        for count in (0, *counts):
            arms = [f"{kind}:{count}" if count else "none" for kind in kinds]
            own = [found.get((dataset, role, k, detector, arm)) for arm in arms]
            if any(own):
                rows.append((detector, set_name(dataset, role), str(k), str(count), *map(percent, own)))
            for arm, mean in dict(zip(arms, own, strict=True)).items():
                numbers += [_number("sizes", dataset, role, k, detector, arm, "image_auroc", mean)] if mean else []
    heads = ("detector", "data set", "k", "images", *kinds)
    notes = ("Image AUROC in percent by the images that join the references; 0: none.", *_notes(found))
    return [_table("sizes", "By number of images", heads, rows, 4, notes, numbers)]


def worth_in_photos(cells: list[Cell]) -> list[Table]:
    """How many more real photos give what an arm gives; none or one table.

    An arm and the curve that it is held against share categories and seeds.
    """
    rows: list[tuple[str, ...]] = []
    numbers: list[Number] = []
    shown = plain(cells)
    for detector, role, dataset, k in sorted({(c.detector, c.role, c.dataset, c.k) for c in shown}):
        own = select(shown, dataset=dataset, role=role, k=k, detector=detector)
        sizes_of = _by_photos([cell for cell in own if arm_kind(cell.arm) in ("real", "none")])
        for arm in sorted({cell.arm for cell in own if arm_kind(cell.arm) not in WORTHLESS}, key=arm_rank):
            groups = _in_all([select(own, arms={arm}), *sizes_of.values()])
            if not groups[0] or len(sizes_of) < 2 or 0 not in sizes_of:
                continue
            mean, *means_by_size = (mean_of(group, AUROC) for group in groups)
            curve = {size: each.value for size, each in zip(sizes_of, means_by_size, strict=True)}
            found = _worth(curve, mean.value, gain([cell for group in groups for cell in group], arm, "none", AUROC))
            points = ", ".join(f"{size}: {100 * value:.1f}" for size, value in curve.items())
            rows.append((detector, set_name(dataset, role), str(k), arm, percent(mean), str(found), points))
            remark = "" if found.photos is not None else str(found)
            numbers.append(Number("worth", dataset, role, k, detector, arm, "real_photos", found.photos, remark=remark))
    heads = ("detector", "data set", "k", "arm", "AUROC", "real photos", "AUROC by real photos added")
    notes = (
        "How many more real normal photos give the same mean image AUROC, by linear interpolation of the closest curve "
        "that never falls, over the same categories and seeds. Where it is flat, small gains look like many photos. It "
        "cannot be told where fewer than two numbers of photos were measured, or where the gain over none has no "
        "interval or one that holds 0.",
        *tuning_note({number.role for number in numbers}),
    )
    return [_table("worth", "Worth in real photos", heads, rows, 4, notes, numbers)] if rows else []


def costs(cells: list[Cell]) -> list[Table]:
    """Seconds and memory, by detector, data set and arm; none or one table."""
    shown = [cell for cell in cells if cell.seconds or cell.memory_mb is not None]
    stages = [stage for stage in STAGES if any(stage in cell.seconds for cell in shown)]
    stages += sorted({stage for cell in shown for stage in cell.seconds} - set(STAGES))
    rows, numbers = [], []
    groups = {(cell.detector, cell.dataset, cell.arm) for cell in shown}
    for detector, dataset, arm in sorted(groups, key=lambda each: (*each[:2], arm_rank(each[2]))):
        own = select(shown, detector=detector, dataset=dataset, arms={arm})
        found = {f"seconds_{stage}": _mean(cell.seconds.get(stage) for cell in own) for stage in stages}
        found["ms_a_photo"] = _mean(_milliseconds(cell) for cell in own)
        found["memory_mb"] = max((cell.memory_mb for cell in own if cell.memory_mb is not None), default=None)
        texts = [
            "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in found.values()
        ]
        rows.append((detector, dataset, arm, str(len(own)), *texts))
        numbers += [Number("costs", dataset, "", None, detector, arm, *each, count=len(own)) for each in found.items()]
    heads = ("detector", "data set", "arm", "cells", *(f"{stage}, s" for stage in stages), "ms a photo", "memory, MB")
    notes = (
        "Means over cells; customize and pool are made once for all cells that share references. What an earlier arm "
        "of the same references computed (twins, patches, distances) is not computed again, so later arms take less. "
        "Memory: the most that a process held, the arms before it in the same process included.",
    )
    return [_table("costs", "Seconds and memory", heads, rows, 3, notes, numbers)] if rows else []


def published_too(cells: list[Cell]) -> list[Table]:
    """All that the paper says of the data sets at hand; none or one table."""
    rows: list[tuple[str, ...]] = []
    for dataset in sorted({cell.dataset for cell in cells}):
        name = published_name(dataset)
        for row in (each for each in PUBLISHED if each.dataset == name):
            spread = "" if row.spread is None else f" ± {row.spread:.1f}"
            values = (f"{row.auroc:.1f}{spread}", f"{row.auprc:.1f}")
            rows.append((dataset, str(row.k), row.method, *values, row.source, row.backbone, row.note or MARK))
        rows += [(dataset, "-", "-", "-", "-", each.source, "-", each.text) for each in remarks(dataset)]
    heads = ("data set", "k", "method", "AUROC", "AUPRC", "source", "backbone", "note")
    return [_table("published", f"One-to-Normal's paper: {MARK}", heads, rows, 3, NOTES, [])] if rows else []


def _compared(name: str, title: str, word: str, cells: list[Cell], given: dict[str, Value], note: str) -> list[Table]:
    """Rows of method, data set, k and arm; a column for each value. Detectors that differ in settings share a row."""
    rows, numbers, seen = [], [], []
    for role, dataset, k, method, arm in sorted({_row_key(cell) for cell in cells}, key=_row_rank):
        own = [cell for cell in cells if _row_key(cell) == (role, dataset, k, method, arm)]
        found = {column: _mean_if_any(own, value) for column, value in given.items()}
        seen += [mean for mean in found.values() if mean]
        rows.append((method, set_name(dataset, role), str(k), arm, *(percent(mean) for mean in found.values())))
        numbers += [
            _number(name, dataset, role, k, method, arm, f"image_auroc {word} {column}", mean)
            for column, mean in found.items()
            if mean
        ]
    notes = (note, *star_note(seen), *tuning_note({cell.role for cell in cells}))
    return [_table(name, title, ("detector", "data set", "k", "arm", *given), rows, 4, notes, numbers)] if rows else []


def _shared(cells: list[Cell]) -> list[Cell]:
    """Those whose category and seed every setting of their row has."""
    places: dict[tuple[object, ...], dict[str, set[tuple[str, int]]]] = {}
    for cell in cells:
        row = places.setdefault(_row_key(cell), {})
        row.setdefault(cell.setting, set()).add((cell.category, cell.seed))
    shared = {row: set.intersection(*settings.values()) for row, settings in places.items()}
    return [cell for cell in cells if (cell.category, cell.seed) in shared[_row_key(cell)]]


def _row_key(cell: Cell) -> tuple[str, str, int, str, str]:
    return cell.role, cell.dataset, cell.k, cell.method, cell.arm


def _row_rank(key: tuple[str, str, int, str, str]) -> tuple[object, ...]:
    return key[3], *key[:3], arm_rank(key[4])


def _mean_if_any(cells: list[Cell], value: Value) -> Mean | None:
    known = [cell for cell in cells if value(cell) is not None]
    return mean_of(known, value, cells) if known else None


def _with_setting(setting: str) -> Value:
    return lambda cell: AUROC(cell) if cell.setting == setting else None


def _names(setting: str) -> str:
    """The names of settings, "twins.strength=0.2,grid=3" -> "twins.strength,grid"."""
    return ",".join(part.split("=")[0] for part in setting.split(",") if "=" in part)


def _setting_rank(setting: str) -> tuple[object, ...]:
    """The default first, then by number, then by text."""
    value = setting.rpartition("=")[2]
    number = float(value) if value.replace(".", "", 1).isdigit() else float("inf")
    return bool(setting), number, setting


def _branch_rank(name: str) -> tuple[int, str]:
    return BRANCHES.index(name) if name in BRANCHES else len(BRANCHES), name


def _places(found: Iterable[Group]) -> list[tuple[str, str, int, str]]:
    return sorted(
        {(role, dataset, k, detector) for dataset, role, k, detector, _ in found}, key=lambda each: (each[3], each)
    )


def _worth(curve: dict[int, float], value: float, over_none: Gain | None) -> Worth:
    found = worth(curve, value)
    if len(curve) < FEWEST_SIZES:
        return Worth(None, "sparse", found.most)
    shown = over_none is not None and over_none.low is not None and not over_none.holds_0
    return found if shown else Worth(None, "unsure", found.most)


def _by_photos(real: list[Cell]) -> dict[int, list[Cell]]:
    """Cells of real photos by how many those are, ascending."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in real:
        by_arm.setdefault(cell.arm, []).append(cell)
    by_size: dict[int, list[Cell]] = {}
    for own in by_arm.values():
        by_size.setdefault(round(fmean(cell.counts.get("extra", 0) for cell in own)), []).extend(own)
    return dict(sorted(by_size.items()))


def _in_all(groups: list[list[Cell]]) -> list[list[Cell]]:
    """The cells of each group whose categories and seeds all groups have."""
    shared = set.intersection(*({(c.category, c.seed) for c in group if AUROC(c) is not None} for group in groups))
    return [[cell for cell in group if (cell.category, cell.seed) in shared] for group in groups]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _milliseconds(cell: Cell) -> float | None:
    photos = cell.counts.get("normal", 0) + cell.counts.get("anomalous", 0)
    return 1000 * cell.seconds["predict"] / photos if photos and "predict" in cell.seconds else None


def _notes(found: dict[Group, Mean]) -> tuple[str, ...]:
    return *star_note(found.values()), *tuning_note({group[1] for group in found})


def _number(table: str, dataset: str, role: str, k: int, detector: str, arm: str, name: str, mean: Mean) -> Number:
    remark = "" if mean.complete else "incomplete"
    shown = (mean.value, mean.spread, None, None, mean.seeds, mean.categories, remark)
    return Number(table, dataset, role, k, detector, arm, name, *shown)


def _table(
    name: str,
    title: str,
    heads: Iterable[str],
    rows: list[tuple[str, ...]],
    labels: int,
    notes: tuple[str, ...],
    numbers: list[Number],
) -> Table:
    return Table(name, title, tuple(("", head) for head in heads), tuple(rows), labels, notes, tuple(numbers))
