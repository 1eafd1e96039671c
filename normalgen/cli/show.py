"""Prints lines, tables, notes and errors."""

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from normalgen.io.notes import LOGGER, note

__all__ = ["MARK", "fail", "note", "resumable", "say", "show_notes", "table"]

MARK = "!"


def say(text: str) -> None:
    """Print a line on standard output."""
    typer.echo(text)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return the rows under their heads, in columns as wide as they need; cells that end with `MARK` are red."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(map(_cell, row, widths)) for row in [heads, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _cell(text: str, width: int) -> str:
    padded = text.ljust(width)
    return typer.style(padded, fg="red") if text.endswith(f" {MARK}") and not os.environ.get("NO_COLOR") else padded


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"note: {record.getMessage()}", err=True)


def show_notes() -> None:
    """Print notes as lines on standard error."""
    if not any(isinstance(handler, _Notes) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Notes())
    LOGGER.propagate = False


def fail(text: str, code: int = 1) -> NoReturn:
    """Print an error message on standard error and exit with `code`."""
    typer.echo(f"error: {text}", err=True)
    sys.exit(code)


@contextmanager
def resumable() -> Iterator[None]:
    """On Ctrl-C, print the command that resumes and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["normalgen", *sys.argv[1:]])
        fail(f"stopped; finished work is kept. To resume: {again}", 130)
