"""What people see: a progress bar in a terminal, plain lines elsewhere."""

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
    """A line on standard output."""
    typer.echo(text)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Rows under their heads, in columns as wide as they need; cells that end with `MARK` in red."""
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
    """Print remarks as lines on standard error, beside the results."""
    if not any(isinstance(handler, _Notes) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Notes())
    LOGGER.propagate = False


def fail(text: str, code: int = 1) -> NoReturn:
    """An error message on standard error, and the end."""
    typer.echo(f"error: {text}", err=True)
    sys.exit(code)


@contextmanager
def resumable() -> Iterator[None]:
    """Let Ctrl-C end with the command that resumes."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["normalgen", *sys.argv[1:]])
        fail(f"stopped; what is done is kept. To resume: {again}", 130)
