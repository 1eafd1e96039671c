"""A table as people read it, and as data: Markdown for the one, CSV for the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from normalgen.evaluation.cells import Frame, optional
from normalgen.evaluation.statistics import AUROC, Gain

__all__ = [
    *("ALL", "STAR", "Head", "Table", "as_csv", "as_markdown", "build", "escaped", "gained", "label"),
    *("mean_numbers", "mean_notes", "percent", "set_name", "signed", "span", "tuning_note"),
]

ALL = "all reporting sets"
STAR = " *"
STAR_NOTE = "* not every category was measured with every seed."
TUNING_NOTE = "(tuning): settings were chosen on these categories; they support no claim."
COLUMNS = ["table", "dataset", "role", "k", "detector", "arm", "metric"]
COLUMNS += ["value", "spread", "low", "high", "seeds", "count", "remark"]
SPANS = {"categories": "count", "pairs": "count", "cells": "count", "seeds": "seeds"}
Head = tuple[str, str]
"""What a column belongs to (empty for most) and its own name."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of its kind, such as "main" or "gains".
        title: what it shows.
        heads: of each column.
        rows: text, as many as heads.
        labels: how many of the columns, from the left, name a row.
        notes: sentences below it.
        numbers: the same as data, a dictionary per number under the names of `COLUMNS`; rates and gains are fractions
            of 1, where the rows show percent. An empty data set or k is all of them; count is the categories of a mean
            or the pairs of a gain.
    """

    name: str
    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    notes: tuple[str, ...]
    numbers: tuple[dict[str, Any], ...] = ()


def build(
    name: str,
    title: str,
    numbers: Frame,
    labels: Sequence[str],
    heads: Sequence[Head],
    notes: Sequence[str],
    after: Sequence[str] = (),
    plain: int = 0,
) -> list[Table]:
    """The table of `numbers`, none if there are none: a row per value of their column "row", a column per head.

    Args:
        name: of the kind.
        title: of the table.
        numbers: columns of `COLUMNS`, and for each number its "row", "head" and "text".
        labels: columns that come first: "data set", "k", those of `SPANS`, or further columns of `numbers`.
        heads: in order.
        notes: sentences.
        after: the same, but they come last.
        plain: how many of the labels, from the right, are numbers.
    """
    if numbers.empty:
        return []
    columns = numbers["head"].map({head: index for index, head in enumerate(heads)}) if heads else 0
    numbers = numbers.assign(table=name, column=columns).sort_values(["row", "column"])
    rows = []
    for _, own in numbers.groupby("row"):
        texts = dict(zip(own["column"], own["text"], strict=True)) if heads else {}
        middle = (texts.get(index, "-") for index in range(len(heads)))
        before, behind = ([label(own, name) for name in names] for names in (labels, after))
        rows.append((*before, *middle, *behind))
    every_head = (*(("", label) for label in labels), *heads, *(("", label) for label in after))
    data = numbers[[column for column in COLUMNS if column in numbers]].drop_duplicates().to_dict("records")
    return [Table(name, title, every_head, tuple(rows), len(labels) - plain, tuple(notes), tuple(data))]


def label(numbers: Frame, name: str) -> str:
    """The text that a row of these numbers has in a column called `name`."""
    first = numbers.iloc[0]
    if name in SPANS:
        return span(numbers[SPANS[name]].dropna().astype(int))
    if name == "k":
        return "all" if first.k != first.k else f"{first.k:.0f}"
    return set_name(first.dataset, first.role) if name == "data set" else str(first[name])


def mean_numbers(result: Frame, row: Sequence[str], metric: str = AUROC) -> Frame:
    """What `means` gives, as `build` takes it, but for heads: a row per group of the columns `row`."""
    rows = result.groupby(list(row)).ngroup() if len(result) else 0
    remarks = ["" if complete else "incomplete" for complete in result.complete]
    return result.assign(row=rows, metric=metric, text=[*map(percent, result.itertuples())], remark=remarks)


def percent(mean: Any) -> str:
    """A row of `means` with its spread in percent; a star where a category or seed is missing."""
    spread = "" if mean.spread != mean.spread else f" ± {100 * mean.spread:.1f}"
    return f"{100 * mean.value:.1f}{spread}{'' if mean.complete else STAR}"


def gained(gain: Gain) -> str:
    """A gain with its interval in percentage points; a star where a category or seed is missing."""
    star = "" if gain.complete else STAR
    if gain.low is None or gain.high is None:
        return f"{signed(gain.value)} [?]{star}"
    return f"{signed(gain.value)} [{signed(gain.low)}, {signed(gain.high)}]{star}"


def signed(value: float) -> str:
    """A difference in percentage points; "-0.0" is a loss that rounds to 0, "+0.0" none, or a gain that does."""
    return f"{round(100 * value, 6) + 0.0:+.1f}"


def span(values: Iterable[int]) -> str:
    """ "32", or "24-32" where they differ."""
    low, high = min(values := list(values)), max(values)
    return str(low) if low == high else f"{low}-{high}"


def set_name(dataset: str, role: str) -> str:
    """A data set as tables name it."""
    return f"{dataset} (tuning)" if role == "tuning" else dataset or ALL


def mean_notes(result: Frame) -> list[str]:
    """The notes on stars and on tuning sets, where there are any."""
    return [*([] if result.complete.all() else [STAR_NOTE]), *tuning_note(result)]


def tuning_note(numbers: Frame) -> list[str]:
    """The note on tuning sets, where there are any."""
    return [TUNING_NOTE] if "tuning" in set(numbers.role) else []


def as_markdown(table: Table) -> str:
    """The table with its title and notes; a head that belongs to something names it first."""
    heads = [f"{group}: {name}" if group else name for group, name in table.heads]
    rule = ["---" if index < table.labels else "---:" for index in range(len(heads))]
    lines = [" | ".join(map(escaped, texts)) for texts in (heads, rule, *table.rows)]
    notes = "".join(f"\n{escaped(note)}\n" for note in table.notes)
    return f"## {escaped(table.title)}\n\n" + "".join(f"| {line} |\n" for line in lines) + notes


def escaped(text: str) -> str:
    """The text on one line, for Markdown: nothing in it is HTML or ends a cell."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def as_csv(tables: Iterable[Table]) -> str:
    """Every number of the tables, one a line, under the names of `COLUMNS`."""
    numbers = [number for table in tables for number in table.numbers]
    data = optional("pandas").DataFrame(numbers, columns=COLUMNS)
    whole = data.astype(dict.fromkeys(("k", "seeds", "count"), "Int64"))
    return str(whole.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
