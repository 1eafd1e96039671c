"""What people see: a progress bar in a terminal, plain lines elsewhere."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from normalgen.io.progress import Watch

__all__ = ["MARK", "Clock", "fail", "going_on", "note", "progress", "say", "table"]

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


def note(text: str) -> None:
    """A line on standard error, beside the results."""
    typer.echo(f"note: {text}", err=True)


def fail(text: str, code: int = 1) -> NoReturn:
    """An error message on standard error, and the end."""
    typer.echo(f"error: {text}", err=True)
    sys.exit(code)


@contextmanager
def going_on() -> Iterator[None]:
    """Ctrl-C ends with the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["normalgen", *sys.argv[1:]])
        fail(f"stopped; what is done is kept. To go on: {again}", 130)


class Clock:
    """True when asked for the first time after `first` seconds, then every `every` seconds."""

    def __init__(self, first: float, every: float) -> None:
        self.due = time.monotonic() + first
        self.every = every

    def rings(self) -> bool:
        """Whether it is time; if so, the next time is set."""
        if time.monotonic() < self.due:
            return False
        self.due = time.monotonic() + self.every
        return True


@contextmanager
def progress() -> Iterator[Watch]:
    """A `Watch` that shows each stage with its rate and the time left."""
    if not sys.stderr.isatty():
        yield _PlainLines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}
        pace = _Pace()

        def watch(stage: str, done: int, total: int) -> None:
            made, seconds = pace(stage, done)
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, rate="")
            elif not seconds:
                bars.reset(tasks[stage], total=total)
            bars.update(tasks[stage], completed=done, rate=_rate(made, seconds))

        yield watch


class _Pace:
    """How far a stage has come since it began; one that falls back has begun anew, as for the next category."""

    def __init__(self) -> None:
        self.begun: dict[str, tuple[float, int]] = {}
        self.last: dict[str, int] = {}

    def __call__(self, stage: str, done: int) -> tuple[int, float]:
        """Steps made and seconds gone since the beginning; 0, 0 at the beginning."""
        now = time.monotonic()
        if stage not in self.begun or done < self.last[stage]:
            self.begun[stage] = now, done
        self.last[stage] = done
        begun, first = self.begun[stage]
        return done - first, now - begun


class _PlainLines:
    """A line when a stage begins and ends, and one about every ten seconds between."""

    def __init__(self) -> None:
        self.pace = _Pace()
        self.clock = Clock(0, 10)

    def __call__(self, stage: str, done: int, total: int) -> None:
        made, seconds = self.pace(stage, done)
        if done < total and not self.clock.rings() and seconds:
            return
        left = f", {_clock((total - done) * seconds / made)} left" if made and done < total else ""
        rate = f", {_rate(made, seconds)}" if made else ""
        typer.echo(f"{stage} {done}/{total}{rate}{left}", err=True)


def _rate(made: int, seconds: float) -> str:
    if not made or not seconds:
        return ""
    return f"{made / seconds:.1f}/s" if made > seconds else f"{seconds / made:.1f} s each"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
