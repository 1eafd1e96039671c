"""A row of the table of bad inputs, and ways to damage what stands in the folder that a row starts with."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

TOY = "--weights prior --size 32 --training-steps 2 --device cpu"
GENERATE = f"generate good {TOY} -n 3 --plain 1"
POOL = f"{GENERATE} --out p"
SCREEN = "screen more --references good --device cpu --out out"
DETECT = f"detect mixed --references good {TOY} --branches n -n 0 --out out"
PERSONALIZE = "personalize mixed --model models/good --device cpu --out out"
EVALUATE = (
    "evaluate --dataset folder --data set --shots 2 --seeds 1 -n 2 --training-steps 1 --weights prior "
    "--detectors memory --arms none --device cpu --out out"
)
TRAIN_TEXT = "train-text --data set --out text.safetensors --device cpu"
JUDGE = "detect mixed --detector detector --device cpu --out out"

Harm = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        kind: what is bad.
        command: the words after `normalgen`, as typed in the prepared folder.
        says: texts that the message must contain: the offending name, and what to do.
        harm: spoils the folder before the command runs; None if the command alone is bad.
        status: 1, or 2 where the parser of the command line refuses the words.
    """

    kind: str
    command: str
    says: tuple[str, ...]
    harm: Harm | None = None
    status: int = 1


def case(kind: str, command: str, *says: str, harm: Harm | None = None, status: int = 1) -> Case:
    """Return a row."""
    return Case(kind, command, says, harm, status)


def then(*harms: Harm) -> Harm:
    """Return what does one after the other."""
    return lambda: [harm() for harm in harms]


def write(path: str, data: bytes | str) -> Harm:
    """Return what writes a file, and the folders that it needs."""

    def harm() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data if isinstance(data, bytes) else data.encode())

    return harm


def picture(path: str, image: Image.Image, **options: Any) -> Harm:
    """Return what writes a picture."""

    def harm() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **options)

    return harm


def change(path: str, change_bytes: Callable[[bytes], bytes]) -> Harm:
    """Return what changes the bytes of a file."""
    return lambda: Path(path).write_bytes(change_bytes(Path(path).read_bytes()))


def swap(path: str, old: str, new: str) -> Harm:
    """Return what replaces a text in a file, which must be there."""

    def changed(data: bytes) -> bytes:
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return change(path, changed)


def edit(path: str, **entries: Any) -> Harm:
    """Return what edits the entries of a JSON object; its digest goes, as if written by hand."""

    def changed(data: bytes) -> bytes:
        return json.dumps(
            {name: held for name, held in json.loads(data).items() if name != "sha256"} | entries
        ).encode()

    return change(path, changed)


def edit_inside(path: str, name: str, **entries: Any) -> Harm:
    """Return what edits the entries of an object inside a JSON object, as `edit`."""
    return lambda: edit(path, **{name: json.loads(Path(path).read_bytes())[name] | entries})()


half = partial(change, change_bytes=lambda data: data[: len(data) // 2])
"""Cuts a file in the middle."""


def flip(path: str, at: int = -3) -> Harm:
    """Return what flips a bit of a file."""

    def changed(data: bytes) -> bytes:
        changing = bytearray(data)
        changing[at] ^= 4
        return bytes(changing)

    return change(path, changed)


def unlink(*paths: str) -> Harm:
    """Return what removes files."""

    def harm() -> None:
        for path in paths:
            Path(path).unlink()

    return harm


def link(path: str, target: str) -> Harm:
    """Return what makes a symbolic link."""

    def harm() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).symlink_to(target)

    return harm


def move(old: str, new: str) -> Harm:
    """Return what renames a file or folder."""

    def harm() -> None:
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        Path(old).rename(new)

    return harm


def every(pattern: str, harm: Callable[[str], Harm]) -> Harm:
    """Return what does the same to every file of a pattern, of which there is one at least."""

    def harms() -> None:
        paths = sorted(map(str, Path().glob(pattern)))
        assert paths
        for path in paths:
            harm(path)()

    return harms
