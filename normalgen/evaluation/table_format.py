"""Formats tables as Markdown for people and as CSV for programs."""

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
"""A column's group (empty for most) and its name."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: its kind, such as "main" or "gains".
        title: what it shows.
        heads: one per column.
        rows: texts, one per column.
        labels: number of columns, from the left, that name a row.
        notes: sentences below the table.
        numbers: the same as data, one dictionary per number with the keys `COLUMNS`; rates and gains are fractions
            of 1, while the rows show percent. An empty data set or k stands for all; count is the categories of a
            mean or the pairs of a gain.
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
    """A list of the one table of `numbers`, empty without numbers: a row per value of "row", a column per head.

    Args:
        name: the table's kind.
        title: the table's title.
        numbers: columns of `COLUMNS`, and for each number its "row", "head" and "text".
        labels: columns that come first: "data set", "k", those of `SPANS`, or other columns of `numbers`.
        heads: the heads, in order.
        notes: sentences below the table.
        after: columns like `labels` that come last.
        plain: number of labels, from the right, that are numbers.
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
    """The text of these numbers' row in the column `name`."""
    first = numbers.iloc[0]
    if name in SPANS:
        return span(numbers[SPANS[name]].dropna().astype(int))
    if name == "k":
        return "all" if first.k != first.k else f"{first.k:.0f}"
    return set_name(first.dataset, first.role) if name == "data set" else str(first[name])


def mean_numbers(result: Frame, row: Sequence[str], metric: str = AUROC) -> Frame:
    """The frame from `means` as `build` takes it, except for heads: a row per group of the columns `row`."""
    rows = result.groupby(list(row)).ngroup() if len(result) else 0
    remarks = ["" if complete else "incomplete" for complete in result.complete]
    return result.assign(row=rows, metric=metric, text=[*map(percent, result.itertuples())], remark=remarks)


def percent(mean: Any) -> str:
    """A row of `means` with its spread in percent; a star if a category or seed is missing."""
    spread = "" if mean.spread != mean.spread else f" ± {100 * mean.spread:.1f}"
    return f"{100 * mean.value:.1f}{spread}{'' if mean.complete else STAR}"


def gained(gain: Gain) -> str:
    """A gain with its interval in percentage points; a star if a category or seed is missing."""
    star = "" if gain.complete else STAR
    if gain.low is None or gain.high is None:
        return f"{signed(gain.value)} [?]{star}"
    return f"{signed(gain.value)} [{signed(gain.low)}, {signed(gain.high)}]{star}"


def signed(value: float) -> str:
    """A difference in percentage points; "-0.0" is a loss that rounds to 0, "+0.0" is no loss."""
    return f"{round(100 * value, 6) + 0.0:+.1f}"


def span(values: Iterable[int]) -> str:
    """The range of the values: "32", or "24-32" if they differ."""
    low, high = min(values := list(values)), max(values)
    return str(low) if low == high else f"{low}-{high}"


def set_name(dataset: str, role: str) -> str:
    """The name of a data set in tables."""
    return f"{dataset} (tuning)" if role == "tuning" else dataset or ALL


def mean_notes(result: Frame) -> list[str]:
    """The notes on stars and on tuning sets, if the result has any."""
    return [*([] if result.complete.all() else [STAR_NOTE]), *tuning_note(result)]


def tuning_note(numbers: Frame) -> list[str]:
    """The note on tuning sets, if the numbers have any."""
    return [TUNING_NOTE] if "tuning" in set(numbers.role) else []


def as_markdown(table: Table) -> str:
    """The table as Markdown, with its title and notes; a head in a group names the group first."""
    heads = [f"{group}: {name}" if group else name for group, name in table.heads]
    rule = ["---" if index < table.labels else "---:" for index in range(len(heads))]
    lines = [" | ".join(map(escaped, texts)) for texts in (heads, rule, *table.rows)]
    notes = "".join(f"\n{escaped(note)}\n" for note in table.notes)
    return f"## {escaped(table.title)}\n\n" + "".join(f"| {line} |\n" for line in lines) + notes


def escaped(text: str) -> str:
    """The text on one line, escaped for Markdown: no HTML, no link or picture, and nothing that ends a cell."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("](", "]\\(")):
        plain = plain.replace(raw, safe)
    return plain


def as_csv(tables: Iterable[Table]) -> str:
    """The tables as CSV: one number per line, with the columns `COLUMNS`."""
    numbers = [number for table in tables for number in table.numbers]
    data = optional("pandas").DataFrame(numbers, columns=COLUMNS)
    typed = data.astype(dict.fromkeys(("k", "seeds", "count"), "Int64"))
    return str(typed.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
