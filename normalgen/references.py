"""The k reference images of a category: chosen, nested, repeatable, and written down as a manifest."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from normalgen.errors import DataError
from normalgen.images.images import Images
from normalgen.io.atomic import write_json
from normalgen.io.rng import generator

__all__ = ["References", "Shots", "choose", "from_manifest", "read_manifest", "write_manifest"]


@dataclass(frozen=True)
class References:
    """Normal images of one category.

    Attributes:
        images: the k references; `choose` and `from_manifest` keep their photos in memory.
        category: such as "elpv-mono"; names folders.
        noun: the object in prompts, such as "solar cell".
        seed: the seed of the choice; None when all images were taken or a manifest named them.
        available: how many images they were chosen from.
    """

    images: Images
    category: str
    noun: str
    seed: int | None
    available: int

    def identity(self) -> dict[str, object]:
        """All of the references that decides what is made from them, as plain data for a record."""
        return {
            "category": self.category,
            "object": self.noun,
            "references": self.images.hashes(),
            "crop": self.images.crop,
        }

    def manifest(self) -> dict[str, object]:
        """Category, seed, and the name and SHA-256 of each reference, as plain data."""
        pairs = zip(self.images.names, self.images.hashes(), strict=True)
        rows = [{"name": name, "sha256": digest} for name, digest in pairs]
        return {"category": self.category, "seed": self.seed, "k": len(rows), "references": rows}


@dataclass(frozen=True)
class Shots:
    """What a manifest names: (name, SHA-256) of each reference, and the category they are of."""

    category: str
    seed: int | None
    rows: tuple[tuple[str, str], ...]


def choose(normals: Images, k: int | None, *, dataset: str, category: str, noun: str, seed: int) -> References:
    """The first k of a permutation of the names that only (dataset, category, seed) decides.

    So 2 shots are among the 4, and the 4 among the 8; none comes twice. `k=None` takes all, in order.

    Raises:
        DataError: fewer images than `k`.
    """
    total = len(normals)
    if k is None or k == total:
        return References(normals.kept(), category, noun, None, total)
    if not 1 <= k <= total:
        raise DataError(f"k must be from 1 to the {total} normal images of {category}, got {k}")
    names = normals.names
    by_name = sorted(range(total), key=names.__getitem__)
    order = torch.randperm(total, generator=generator("shots", dataset, category, seed)).tolist()
    return References(normals.take([by_name[i] for i in order[:k]]).kept(), category, noun, seed, total)


def write_manifest(references: References, path: Path) -> None:
    """Write the choice, to be committed and given back with `--manifest`."""
    write_json(path, references.manifest())


def read_manifest(path: Path) -> Shots:
    """The inverse of `write_manifest`.

    Raises:
        DataError: no such file, or not a manifest.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((str(row["name"]), str(row["sha256"])) for row in data["references"])
        shots = Shots(str(data["category"]), data["seed"], rows)
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a shot manifest; normalgen writes them as references.json") from error
    if not rows:
        raise DataError(f"manifest {path} names no references")
    if len({name for name, _ in rows}) < len(rows):
        raise DataError(f"manifest {path} names a reference twice")
    return shots


def from_manifest(normals: Images, shots: Shots, *, category: str, noun: str) -> References:
    """The references that a manifest names, in its order, each checked by its hash.

    Raises:
        DataError: an image is missing or has changed.
    """
    place = {name: i for i, name in enumerate(normals.names)}
    missing = [name for name, _ in shots.rows if name not in place]
    if missing:
        raise DataError(
            f"the manifest names {missing[0]!r}, which is not among the {len(normals)} images of {category}"
        )
    images = normals.take([place[name] for name, _ in shots.rows]).kept()
    for name, wanted, found in zip(images.names, [digest for _, digest in shots.rows], images.hashes(), strict=True):
        if wanted != found:
            raise DataError(
                f"{name} is not the image that the manifest names: SHA-256 {found[:12]}, expected {wanted[:12]}"
            )
    return References(images, category, noun, shots.seed, len(normals))
