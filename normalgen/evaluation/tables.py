"""Builds all tables that the cells allow; the main ones here: data set and k against detector and arm."""

from collections.abc import Iterable
from typing import Any

from normalgen.data.counts import PUBLISHED
from normalgen.evaluation.cells import FAILING, Frame, optional, plain, sized
from normalgen.evaluation.contrasts import falsification, gains
from normalgen.evaluation.details import branches, costs, published_too, settings_studies, sizes, worth_in_photos
from normalgen.evaluation.paper_numbers import MARK, METHOD, paper_categories, published
from normalgen.evaluation.statistics import AUROC, means
from normalgen.evaluation.table_format import Table, build, mean_notes, mean_numbers, set_name
from normalgen.evaluation.unlabeled_tables import unlabeled

__all__ = ["METRICS", "every_table", "main_tables"]

METRICS = {
    AUROC: "Image AUROC",
    "image_ap": "Image average precision",
    "pixel_auroc": "Pixel AUROC",
    "aupro": "AUPRO up to 30 % false positives",
}
WIDEST = 8
PERCENT = "In percent; ± is the sample standard deviation over seeds of the mean over categories."
PAPER = (
    f"paper: {METHOD}'s own numbers, {MARK}; other weights, shots and perhaps splits, so a target and no comparison."
)
PAPER_HEAD = ("", f"paper ({MARK})")
PLACE = ["role", "dataset", "k"]
LABELS = ["data set", "k", "categories", "seeds"]


def every_table(cells: Frame) -> list[Table]:
    """All tables that `cells` have numbers for, the most wanted first."""
    return [
        *main_tables(cells, [AUROC]),
        *gains(cells),
        *unlabeled(cells),
        *main_tables(cells, [name for name in METRICS if name != AUROC]),
        *failing(cells),
        *falsification(cells),
        *worth_in_photos(cells),
        *sizes(cells),
        *branches(cells),
        *settings_studies(cells),
        *costs(cells),
        *published_too(cells),
    ]


def main_tables(cells: Frame, metrics: Iterable[str] = tuple(METRICS)) -> list[Table]:
    """A table per measured metric, for arms of one size; tables that are too wide are split by detector."""
    own = plain(cells)
    own = own[~own.arm.isin(sized(own).arm) & ~own.arm_kind.isin(FAILING)]
    return [table for name in metrics if name in cells for table in _by_part("main", name, METRICS[name], own)]


def failing(cells: Frame) -> list[Table]:
    """The tables of image AUROC of arms that should fail and what they are compared with; empty without such arms."""
    own = plain(cells)
    own = own[own.arm_kind.isin([*FAILING, "none", "generated"])]
    fails = own.assign(fails=own.arm_kind.isin(FAILING)).groupby(["dataset", "detector"]).fails.transform("any")
    own = own[fails & ~own.arm.isin(sized(own).arm)]
    return _by_part("failing", AUROC, "Image AUROC of arms that should fail", own)


def _by_part(kind: str, metric: str, title: str, cells: Frame) -> list[Table]:
    result = means(cells, metric)
    parts = _parts(result)
    tables = []
    for detectors in parts:
        name = title if len(parts) == 1 and len(detectors) > 1 else f"{title}: {', '.join(detectors)}"
        tables += _main(kind, metric, name, result[result.detector.isin(detectors)], cells)
    return tables


def _parts(result: Frame) -> list[list[str]]:
    """Groups of detectors whose arms take at most `WIDEST` columns together."""
    parts: list[list[str]] = []
    columns = WIDEST
    for detector, arms in result.groupby("detector").arm.nunique().items():
        if columns + arms > WIDEST:
            parts.append([])
            columns = 0
        parts[-1].append(str(detector))
        columns += arms
    return parts


def _main(kind: str, metric: str, title: str, result: Frame, cells: Frame) -> list[Table]:
    several = result.detector.nunique() > 1
    numbers = mean_numbers(result, PLACE, metric)
    numbers["head"] = [(which if several else "", arm) for which, arm in zip(result.detector, result.arm, strict=True)]
    heads = [*dict.fromkeys(numbers.sort_values(["detector", "arm_rank"])["head"])]
    ours = kind == "main" and result.detector.str.startswith("one-to-normal").any()
    rows = numbers[["row", *PLACE]].drop_duplicates().itertuples() if ours else []
    paper = [number for row in rows for number in _paper_number(row, metric)]
    shown_cells = cells.merge(result[["role", "dataset"]].drop_duplicates())
    short = [line for _, own in shown_cells.groupby(["role", "dataset"]) for line in _short_of(own, bool(paper))]
    notes = [PERCENT, *mean_notes(result), *([PAPER] if paper else []), *short]
    if paper:
        numbers = optional("pandas").concat([numbers, optional("pandas").DataFrame(paper)])
        heads.append(PAPER_HEAD)
    return build(kind, title, numbers, LABELS, heads, notes)


def _paper_number(row: Any, metric: str) -> list[dict[str, Any]]:
    """The paper's number for a row of our table, or an empty list."""
    result = published(row.dataset, row.k)
    if result is None or metric not in (AUROC, "image_ap"):
        return []
    suspect = metric == "image_ap" and result.note
    value, spread = (result.auroc, result.spread) if metric == AUROC else (result.auprc, None)
    number = {
        **{"row": row.row, "head": PAPER_HEAD, "dataset": row.dataset, "role": "published", "k": row.k},
        **{"detector": result.method, "arm": "", "metric": metric, "value": value / 100},
        "text": f"{value:.1f}{'' if spread is None else f' ± {spread:.1f}'}{' (suspect)' if suspect else ''}",
        "remark": "; ".join([MARK, result.source, result.backbone, *([result.note] if suspect else [])]),
    }
    return [number if spread is None else {**number, "spread": spread / 100}]


def _short_of(cells: Frame, paper: bool) -> list[str]:
    """Notes on a set that lacks categories of the paper or test images of the published set."""
    first = cells.iloc[0]
    lines = set()
    counts = PUBLISHED.get(first.dataset, {})
    own = cells[cells.category.isin(counts) & ~cells.arm_kind.isin(FAILING)]
    for category, *tested in {*own[["category", "counts.normal", "counts.anomalous"]].itertuples(index=False)}:
        if tuple(tested) != counts[category][1:]:
            text = "{} was tested on {} normal and {} anomalous test images; the whole set has {} and {}."
            lines.add(text.format(category, *tested, *counts[category][1:]))
    ours, theirs = cells.category.nunique(), paper_categories(first.dataset)
    short = [f"{ours} of the {theirs} categories that the paper means."] if paper and theirs not in (None, ours) else []
    return [f"{set_name(first.dataset, first.role)}: {line}" for line in (*short, *sorted(lines))]
