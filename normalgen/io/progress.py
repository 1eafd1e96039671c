"""Progress of long work: a function called with a stage, the steps done, and the total steps."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

__all__ = ["Watch", "progress_bars", "silent"]

WINDOW = 20.0
"""Seconds of recent steps from which the rate is computed."""
FEW, SECONDS_BETWEEN, INSTANT = 10, 10.0, 1e-3


class Watch(Protocol):
    """A function that reports progress."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of `stage` are done; 0 when a stage begins."""


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def progress_bars(show: bool = True) -> Iterator[Watch]:
    """Yield a `Watch` that shows each stage with its rate and the time left.

    Terminals and notebooks get bars. Elsewhere lines are printed: when a stage begins, when it ends, and about every
    ten seconds in between.
    """
    if not show:
        yield silent
    elif sys.stderr.isatty() or "ipykernel" in sys.modules:
        with ExitStack() as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Pace:
    """Seconds per step of each stage.

    The rate comes from the steps of the last `WINDOW` seconds. In a long stage the first step does not count: it
    compiles and fills caches. If `done` falls, the stage has begun again, as for the next category.
    """

    def __init__(self) -> None:
        self.marks: dict[str, deque[tuple[float, int]]] = {}

    def __call__(self, stage: str, done: int, total: int) -> float | None:
        """Return the current seconds per step; None if not known yet."""
        now = time.monotonic()
        marks = self.marks.get(stage)
        if marks is None or done < marks[-1][1]:
            self.marks[stage] = deque([(now, done)])
            return None
        marks.append((now, done))
        if len(marks) == 3 and total > FEW:
            marks.popleft()
        while len(marks) > 2 and now - marks[1][0] > WINDOW:
            marks.popleft()
        made = done - marks[0][1]
        known = made > 0 and (len(marks) > 2 or total <= FEW or done >= total or marks[0][1] > 0)
        return (now - marks[0][0]) / made if known else None


def _words(pace: float | None, left: int) -> list[str]:
    """Return the rate and the time left; nothing if the pace is unknown, or if the work was done before."""
    if pace is None or pace < INSTANT:
        return []
    rate = f"{1 / pace:.1f}/s" if 0 < pace < 1 else f"{pace:.1f} s each"
    seconds = int(left * pace)
    return [rate] if not left else [rate, f"{seconds // 60}:{seconds % 60:02d} left"]


class _Lines:
    """Prints a line when a stage begins and ends, and about every ten seconds between; none twice in a row."""

    def __init__(self) -> None:
        self.pace, self.due, self.last = _Pace(), dict[str, float](), ("", 0, 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        begins = stage not in self.pace.marks or done < self.pace.marks[stage][-1][1]
        pace = self.pace(stage, done, total)
        due = begins or time.monotonic() >= self.due[stage]
        if due:
            self.due[stage] = time.monotonic() + SECONDS_BETWEEN
        if (due or done >= total) and self.last != (stage, done, total):
            self.last = (stage, done, total)
            sys.stderr.write(", ".join([f"{stage} {done}/{total}", *_words(pace, total - done)]) + "\n")


class _Bars:
    """One bar per stage."""

    def __init__(self, stack: ExitStack) -> None:
        self.pace, self.stack = _Pace(), stack
        self.bars: dict[str, Any] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm.auto import tqdm

        if stage not in self.bars:
            form = "{desc:<14} {bar:30} {n_fmt}/{total_fmt}  {elapsed}{postfix}"
            self.bars[stage] = self.stack.enter_context(tqdm(total=total, desc=stage, bar_format=form))
        bar = self.bars[stage]
        bar.total, bar.n = total, done
        bar.set_postfix_str(", ".join(_words(self.pace(stage, done, total), total - done)), refresh=False)
        bar.refresh()
