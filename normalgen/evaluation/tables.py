"""All tables for which cells exist, the main ones here: data set and k against detector and arm."""

from collections.abc import Iterable

from normalgen.data.counts import PUBLISHED
from normalgen.evaluation.cells import FAILING, Cell, arm_kind, arm_rank, plain, select, sized
from normalgen.evaluation.contrasts import falsification, gains
from normalgen.evaluation.details import branches, costs, published_too, settings_studies, sizes, worth_in_photos
from normalgen.evaluation.paper_numbers import MARK, METHOD, Published, paper_categories, published
from normalgen.evaluation.statistics import Group, Mean, means, metric
from normalgen.evaluation.table_format import Number, Table, percent, set_name, span, star_note, tuning_note

__all__ = ["METRICS", "every_table", "main_tables"]

METRICS = {
    "image_auroc": "Image AUROC",
    "image_ap": "Image average precision",
    "pixel_auroc": "Pixel AUROC",
    "aupro": "AUPRO up to 30 % false positives",
}
WIDEST = 8
PERCENT = "In percent; ± is the sample standard deviation over seeds of the mean over categories."
PAPER = (
    f"paper: {METHOD}'s own numbers, {MARK}; other weights, shots and perhaps splits, so a target and no comparison."
)
Found = dict[Group, Mean]


def every_table(cells: list[Cell]) -> list[Table]:
    """Every table that `cells` have something for, in the order in which people ask."""
    return [
        *main_tables(cells, ["image_auroc"]),
        *gains(cells),
        *main_tables(cells, [name for name in METRICS if name != "image_auroc"]),
        *failing(cells),
        *falsification(cells),
        *worth_in_photos(cells),
        *sizes(cells),
        *branches(cells),
        *settings_studies(cells),
        *costs(cells),
        *published_too(cells),
    ]


def main_tables(cells: list[Cell], metrics: Iterable[str] = tuple(METRICS)) -> list[Table]:
    """A table for each metric that was measured, of arms of one size; those too wide are split by detector."""
    studied = {cell.arm for cell in sized(plain(cells))}
    shown = [cell for cell in plain(cells) if cell.arm not in studied and arm_kind(cell.arm) not in FAILING]
    return [table for name in metrics for table in _by_part("main", name, METRICS[name], shown)]


def failing(cells: list[Cell]) -> list[Table]:
    """Image AUROC of arms that should fail, beside those that they are held against; none where there are none."""
    shown = [cell for cell in plain(cells) if arm_kind(cell.arm) in (*FAILING, "none", "generated")]
    places = {(cell.dataset, cell.detector) for cell in shown if arm_kind(cell.arm) in FAILING}
    studied = {cell.arm for cell in sized(shown)}
    shown = [cell for cell in shown if (cell.dataset, cell.detector) in places and cell.arm not in studied]
    return _by_part("failing", "image_auroc", "Image AUROC of arms that should fail", shown)


def _by_part(kind: str, name: str, title: str, cells: list[Cell]) -> list[Table]:
    found = means(cells, metric(name))
    parts = _parts(found)
    tables = []
    for detectors in parts:
        whole = title if len(parts) == 1 and len(detectors) > 1 else f"{title}: {', '.join(detectors)}"
        tables.append(_main(kind, name, whole, {g: mean for g, mean in found.items() if g[3] in detectors}, cells))
    return tables


def _parts(found: Found) -> list[list[str]]:
    """Detectors, put together as long as their arms are at most `WIDEST` columns."""
    parts: list[list[str]] = []
    columns = 0
    for detector in sorted({group[3] for group in found}):
        own = len({group[4] for group in found if group[3] == detector})
        if not parts or columns + own > WIDEST:
            parts.append([])
            columns = 0
        parts[-1].append(detector)
        columns += own
    return parts


def _main(kind: str, name: str, title: str, found: Found, cells: list[Cell]) -> Table:
    columns = sorted({group[3:] for group in found}, key=lambda each: (each[0], *arm_rank(each[1])))
    places = sorted({(group[1], group[0], group[2]) for group in found})
    rows, numbers = [], []
    ours = kind == "main" and any(detector.startswith("one-to-normal") for detector, _ in columns)
    paper = ours and any(_paper(name, dataset, k) for _, dataset, k in places)
    for role, dataset, k in places:
        own = {group[3:]: mean for group, mean in found.items() if (group[1], group[0], group[2]) == (role, dataset, k)}
        row = [set_name(dataset, role), str(k), *_counts(list(own.values()))]
        row += [percent(own.get(column)) for column in columns]
        rows.append((*row, *([_paper(name, dataset, k) or "-"] if paper else [])))
        numbers += [_number(kind, name, dataset, role, k, column, own[column]) for column in columns if column in own]
        numbers += _paper_number(name, dataset, k) if paper else []
    several = len({detector for detector, _ in columns}) > 1
    heads = [("", "data set"), ("", "k"), ("", "categories"), ("", "seeds")]
    heads += [(detector if several else "", arm) for detector, arm in columns]
    heads += [("", f"paper ({MARK})")] if paper else []
    notes = (PERCENT, *star_note(found.values()), *tuning_note({role for role, _, _ in places}))
    notes += (*((PAPER,) if paper else ()), *_short_of([(role, each) for role, each, _ in places], cells, paper))
    return Table(kind, title, tuple(heads), tuple(rows), 4, notes, tuple(numbers))


def _counts(found: list[Mean]) -> list[str]:
    return [span(mean.categories for mean in found), span(mean.seeds for mean in found)]


def _paper(name: str, dataset: str, k: int) -> str:
    row = published(dataset, k)
    if row is None or name not in ("image_auroc", "image_ap"):
        return ""
    if name == "image_ap":
        return f"{row.auprc:.1f}{' (suspect)' if row.note else ''}"
    return f"{row.auroc:.1f}" if row.spread is None else f"{row.auroc:.1f} ± {row.spread:.1f}"


def _short_of(places: list[tuple[str, str]], cells: list[Cell], paper: bool) -> tuple[str, ...]:
    """Where our categories are not the paper's, and our test images not the published ones."""
    lines = []
    for role, dataset in dict.fromkeys(places):
        own = select(cells, dataset=dataset, role=role)
        ours, theirs = len({cell.category for cell in own}), paper_categories(dataset)
        if paper and theirs and ours != theirs:
            lines.append(f"{set_name(dataset, role)}: {ours} of the {theirs} categories that the paper means.")
        lines += [f"{set_name(dataset, role)}: {line}" for line in sorted({line for c in own for line in _fewer(c)})]
    return tuple(lines)


def _fewer(cell: Cell) -> list[str]:
    """Of how many test images, if not of all that the published category has."""
    whole = PUBLISHED.get(cell.dataset, {}).get(cell.category)
    tested = tuple(cell.counts.get(name, 0) for name in ("normal", "anomalous"))
    if whole is None or tested == whole[1:] or arm_kind(cell.arm) in FAILING:
        return []
    said = "{} normal and {} anomalous test images"
    return [
        f"{cell.category} was tested on {said.format(*tested)}; the whole set has {whole.good} and {whole.anomalous}."
    ]


def _number(kind: str, name: str, dataset: str, role: str, k: int, column: tuple[str, str], mean: Mean) -> Number:
    return Number(
        table=kind,
        dataset=dataset,
        role=role,
        k=k,
        detector=column[0],
        arm=column[1],
        metric=name,
        value=mean.value,
        spread=mean.spread,
        seeds=mean.seeds,
        count=mean.categories,
        remark="" if mean.complete else "incomplete",
    )


def _paper_number(name: str, dataset: str, k: int) -> list[Number]:
    row: Published | None = published(dataset, k)
    if row is None or name not in ("image_auroc", "image_ap"):
        return []
    value, spread = (row.auroc, row.spread) if name == "image_auroc" else (row.auprc, None)
    remark = f"{MARK}; {row.source}; {row.backbone}" + (f"; {row.note}" if row.note and name == "image_ap" else "")
    fraction = None if spread is None else spread / 100
    return [Number("main", dataset, "published", k, row.method, "", name, value / 100, fraction, remark=remark)]
