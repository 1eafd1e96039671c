"""Prints lines, tables, notes and errors."""

import logging
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

import typer

from normalgen.io.notes import LOGGER, note
from normalgen.io.text import printable

__all__ = ["MARK", "fail", "never_fail", "note", "say", "say_table", "show_notes", "table"]

MARK = "!"


def never_fail() -> None:
    """Make standard output and error escape the letters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, *, err: bool = False) -> None:
    """Print a line on standard output, or on standard error; control characters are escaped."""
    typer.echo(printable(text), err=err)


def say_table(heads: list[str], rows: list[list[str]]) -> None:
    """Print a `table` on standard output."""
    typer.echo(table(heads, rows))


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return the rows under their heads, in columns as wide as they need; cells that end with `MARK` are red."""
    cells = [[printable(cell).replace("\n", "\\n") for cell in row] for row in [heads, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return "\n".join("  ".join(map(_cell, row, widths)).rstrip() for row in cells)


def _cell(text: str, width: int) -> str:
    padded = text.ljust(width)
    return typer.style(padded, fg="red") if text.endswith(f" {MARK}") and not os.environ.get("NO_COLOR") else padded


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {record.getMessage()}", err=True)


def show_notes() -> None:
    """Print notes as lines on standard error."""
    if not any(isinstance(handler, _Notes) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Notes())
    LOGGER.propagate = False


def fail(text: str, code: int = 1) -> NoReturn:
    """Print an error message on standard error and exit with `code`."""
    say(f"error: {text}", err=True)
    sys.exit(code)
