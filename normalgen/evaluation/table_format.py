"""A table as people read it, and as data: Markdown for the one, CSV for the other."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from io import StringIO

from normalgen.evaluation.statistics import Gain, Mean

__all__ = [
    "STAR",
    "Number",
    "Table",
    "as_csv",
    "as_markdown",
    "gained",
    "percent",
    "set_name",
    "signed",
    "span",
    "star_note",
    "tuning_note",
]

STAR = " *"
STAR_NOTE = "* not every category was measured with every seed."
TUNING_NOTE = "(tuning): settings were chosen on these categories; they support no claim."


@dataclass(frozen=True)
class Number:
    """One number of a table, as data; rates and gains as fractions of 1, where the tables show percent.

    Attributes:
        table: whose number it is.
        dataset: empty for all.
        role: "reporting", "tuning" or "published".
        k: references; None for all.
        detector: with its settings.
        arm: or two, "generated - augmented".
        metric: such as "image_auroc", "seconds_fit" or "real_photos".
        value: None outside what was measured.
        spread: sample standard deviation over seeds.
        low: end of a 95 % interval.
        high: its other end.
        seeds: how many.
        count: categories of a mean, pairs of a gain.
        remark: what to know of it.
    """

    table: str
    dataset: str
    role: str
    k: int | None
    detector: str
    arm: str
    metric: str
    value: float | None
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int | None = None
    count: int | None = None
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of its kind, such as "main" or "gains".
        title: what it shows.
        heads: of each column, what it belongs to (empty for most) and its own name.
        rows: text, as many as heads.
        labels: how many of the columns, from the left, name a row.
        notes: sentences below it.
        numbers: the same as data.
    """

    name: str
    title: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    notes: tuple[str, ...]
    numbers: tuple[Number, ...]


def percent(mean: Mean | None) -> str:
    """A mean with its spread in percent; a star where a category or seed is missing, "-" where there is none."""
    if mean is None:
        return "-"
    spread = "" if mean.spread is None else f" ± {100 * mean.spread:.1f}"
    return f"{100 * mean.value:.1f}{spread}{'' if mean.complete else STAR}"


def gained(gain: Gain | None) -> str:
    """A gain with its interval in percentage points; a star where a category or seed is missing, "-" for none."""
    if gain is None:
        return "-"
    star = "" if gain.complete else STAR
    if gain.low is None or gain.high is None:
        return f"{signed(gain.value)} [?]{star}"
    return f"{signed(gain.value)} [{signed(gain.low)}, {signed(gain.high)}]{star}"


def signed(value: float) -> str:
    """A difference in percentage points; "-0.0" is a loss that rounds to 0, "+0.0" none, or a gain that does."""
    return f"{round(100 * value, 6) + 0.0:+.1f}"


def span(values: Iterable[int]) -> str:
    """ "32", or "24-32" where they differ."""
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"


def set_name(dataset: str, role: str) -> str:
    """A data set as tables name it."""
    return f"{dataset} (tuning)" if role == "tuning" else dataset


def star_note(found: Iterable[Mean]) -> tuple[str, ...]:
    """The note on stars, if there are any."""
    return () if all(mean.complete for mean in found) else (STAR_NOTE,)


def tuning_note(roles: Iterable[str]) -> tuple[str, ...]:
    """The note on tuning sets, if there are any."""
    return (TUNING_NOTE,) if "tuning" in roles else ()


def as_markdown(table: Table) -> str:
    """The table with its title and notes; a head that belongs to something names it first."""
    heads = [f"{group}: {name}" if group else name for group, name in table.heads]
    rule = [" --- " if place < table.labels else " ---: " for place in range(len(heads))]
    lines = [_line(heads), f"|{'|'.join(rule)}|", *(_line(row) for row in table.rows)]
    return f"## {table.title}\n\n" + "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in table.notes)


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def as_csv(tables: Iterable[Table]) -> str:
    """Every number of the tables, one a line, under the names of `Number`'s attributes."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Number)])
    for table in tables:
        writer.writerows([_plain(value) for value in astuple(number)] for number in table.numbers)
    return text.getvalue()


def _plain(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
