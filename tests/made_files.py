"""What commands made: the files of two runs, compared byte for byte."""

import json
from pathlib import Path

from normalgen.io.records import parse

CLOCKS = ("seconds", "memory_mb")
"""Entries of a cell that no two runs share."""


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file that the commands in `folder` made, but cache, locks, times, and what they printed."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    made = {name: path for name, path in files.items() if "/" in name and not name.startswith("cache/")}
    return {name: timeless(path) for name, path in made.items() if path.name not in (".lock", "seconds.json")}


def timeless(path: Path) -> bytes:
    """The bytes of a file, without how long it took to make it."""
    data = path.read_bytes()
    if "cells" not in path.parts:
        return data
    cell: dict[str, object] = parse(data, dict)
    return json.dumps({name: value for name, value in cell.items() if name not in CLOCKS}).encode()
