"""Manifests: files that name the references of a category."""

from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.io.records import read_json

__all__ = ["Manifest", "ManifestRow", "Shots", "read_manifest"]


class ManifestRow(TypedDict):
    """One reference: the SHA-256 decides, the name is for people."""

    name: str
    sha256: str


class Manifest(TypedDict):
    """`references.json`: which photos the references are."""

    category: str
    seed: int | None
    k: NotRequired[int]
    references: list[ManifestRow]


@dataclass(frozen=True)
class Shots:
    """The contents of a manifest: category, seed, and (name, SHA-256) of each reference."""

    category: str
    seed: int | None
    rows: tuple[tuple[str, str], ...]


def read_manifest(path: Path) -> Shots:
    """Read what `write_manifest` wrote.

    Raises:
        DataError: the file does not exist, or is not a manifest.
    """
    remedy = "use a references.json that normalgen wrote"
    data = read_json(path, Manifest, remedy)
    if data is None:
        raise DataError(f"manifest {path} does not exist; {remedy}")
    rows = tuple((row["name"], row["sha256"]) for row in data["references"])
    if len(rows) != data.get("k", len(rows)):
        raise DataError(f"manifest {path} names {len(rows)} references, but says k is {data.get('k')}; {remedy}")
    if not rows:
        raise DataError(f"manifest {path} names no references; use one that does")
    if len(set(rows)) < len(rows):
        raise DataError(f"manifest {path} names a reference twice; remove one of the two")
    return Shots(data["category"], data["seed"], rows)
