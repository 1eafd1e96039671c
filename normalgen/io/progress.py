"""How long work tells what it has done: a function called with a stage, steps done, and steps in all."""

from typing import Protocol

__all__ = ["Watch", "silent"]


class Watch(Protocol):
    """Told of progress; what it shows, and where, is the caller's affair."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are done; called with 0 when a stage begins."""


def silent(stage: str, done: int, total: int) -> None:
    """Tells nobody."""
