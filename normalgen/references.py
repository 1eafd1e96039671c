"""The k reference photos of a category: a repeatable, nested choice, recorded in a manifest."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.data.category import check_name
from normalgen.data.find import find_category, folder_category
from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.images import Images
from normalgen.images.skipped import note_skipped
from normalgen.io.atomic import write_json
from normalgen.io.notes import note
from normalgen.io.rng import generator

if TYPE_CHECKING:
    pass

__all__ = [
    "ReferenceChoice",
    "References",
    "Shots",
    "choose",
    "find_references",
    "from_manifest",
    "note_lost_detail",
    "read_manifest",
    "write_manifest",
]

DEFAULT_K = 4


@dataclass(frozen=True)
class References:
    """Normal images of one category.

    Attributes:
        images: the k references; `choose` and `from_manifest` keep their photos in memory.
        category: such as "elpv-mono"; names folders.
        noun: the object in prompts, such as "solar cell".
        seed: the seed of the choice; None if all images were taken or a manifest named them.
        available: number of images to choose from.
        noun_given: whether the user chose the noun; if not, a finished model's noun replaces it.
    """

    images: Images
    category: str
    noun: str
    seed: int | None
    available: int
    noun_given: bool = False

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        k: int | None = None,
        noun: str | None = None,
        category: str | None = None,
        seed: int = 0,
        crop: str | Crop | None = None,
    ) -> References:
        """Return the photos in `folder`, or `k` of them that `seed` chooses.

        Args:
            folder: holds photos of good parts.
            k: number of references; None takes all photos.
            noun: the object in prompts, such as "solar cell"; default: the category's name.
            category: names the folders of models and pools; default: the folder's name.
            seed: the same seed chooses the same photos; a larger k includes the photos of a smaller one.
            crop: None, "center", or (x, y, width, height) in pixels.

        Raises:
            DataError: the folder does not exist, or holds no photos or fewer than `k`.
        """
        chosen = ReferenceChoice(Path(folder), category=category, noun=noun, k=k, seed=seed, crop=crop)
        return find_references(chosen)

    def identity(self) -> dict[str, object]:
        """Return everything in the references that affects results, as plain data for a record."""
        return {
            "category": self.category,
            "object": self.noun,
            "references": self.images.hashes(),
            "crop": self.images.crop,
        }

    def manifest(self) -> dict[str, object]:
        """Return category, seed, and the name and SHA-256 of each reference, as plain data."""
        pairs = zip(self.images.names, self.images.hashes(), strict=True)
        rows = [{"name": name, "sha256": digest} for name, digest in pairs]
        return {"category": self.category, "seed": self.seed, "k": len(rows), "references": rows}


@dataclass(frozen=True)
class ReferenceChoice:
    """The user's choice of references.

    Attributes:
        folder: holds photos of good parts; without one, `category` decides.
        category: a built-in category, or one in `data`; with a folder, the name to give the category.
        data: root of categories in MVTec layout, `data/CATEGORY/train/good`.
        noun: the object in prompts.
        k: number of references; default: all photos of a folder, four of a category.
        manifest: a `references.json` that names the references.
        crop: None, "center", or (x, y, width, height) in pixels.
        seed: of the choice if there are more than k photos.
    """

    folder: Path | None = None
    _: KW_ONLY
    category: str | None = None
    data: Path | None = None
    noun: str | None = None
    k: int | None = None
    manifest: Path | None = None
    crop: str | Crop | None = None
    seed: int = 0


@dataclass(frozen=True)
class Shots:
    """The contents of a manifest: category, seed, and (name, SHA-256) of each reference."""

    category: str
    seed: int | None
    rows: tuple[tuple[str, str], ...]


def find_references(wanted: ReferenceChoice) -> References:
    """Return the references that `wanted` describes; notes skipped, unused and duplicate photos.

    Raises:
        DataError: nothing is named, photos are missing or too few, or the options contradict each other.
    """
    note_skipped(wanted.folder)
    shots = read_manifest(wanted.manifest) if wanted.manifest else None
    name = _name(wanted, shots)
    category = folder_category(wanted.folder, name) if wanted.folder else find_category(name or "", wanted.data)
    if wanted.folder and name is None and category.name != wanted.folder.resolve().name:
        note(f"the category is called {category.name!r}, after a folder above; rename it with --category")
    noun = (category.noun if wanted.noun is None else wanted.noun).strip()
    if not noun:
        raise DataError("--object must be one or more words, got empty text")
    if shots:
        references = from_manifest(category.normals, shots, category=category.name, noun=noun)
    else:
        count = wanted.k if wanted.k is not None or wanted.folder else min(DEFAULT_K, len(category.normals))
        named = {"dataset": category.dataset, "category": category.name, "noun": noun}
        references = choose(category.normals, count, **named, seed=wanted.seed)
    _note_unused(references)
    return replace(references, images=references.images.cropped(wanted.crop), noun_given=wanted.noun is not None)


def _name(wanted: ReferenceChoice, shots: Shots | None) -> str | None:
    """Return the category's name; None if only a folder is given.

    Raises:
        DataError: nothing is named, or the manifest contradicts the options.
    """
    k, category = wanted.k, wanted.category
    if shots and k not in (None, len(shots.rows)):
        raise DataError(
            f"the manifest names {len(shots.rows)} references but -k asks for {k}; give only one of the two"
        )
    if shots and category not in (None, shots.category):
        raise DataError(
            f"the manifest is for category {shots.category!r}, but --category is {category!r}; leave one out"
        )
    name = category or (shots.category if shots else None)
    if wanted.folder is None and name is None:
        raise DataError("name a folder of normal photos (normalgen generate ./good) or a --category")
    return None if name is None else check_name(name)


def _note_unused(references: References) -> None:
    used, hashes = len(references.images), references.images.hashes()
    if used < references.available:
        note(f"{used} of {references.available} normal images are references (-k); the others are not used")
    if len(set(hashes)) < used:
        note(f"only {len(set(hashes))} of {used} references differ; the others are copies")


def note_lost_detail(references: References, size: int) -> None:
    """Note what the resize to `size` pixels hides. Decodes every photo once.

    Raises:
        DataError: a photo cannot be read, or the crop extends beyond it.
    """
    smallest = references.images.smallest_detail(size)
    if smallest > 3:
        hidden = f"defects narrower than about {smallest} of their pixels become invisible"
        note(f"photos are scaled down to {size} px: {hidden}; use --crop, or a larger --size")


def choose(normals: Images, k: int | None, *, dataset: str, category: str, noun: str, seed: int) -> References:
    """Return the first k images of a permutation that depends only on the names and (dataset, category, seed).

    So the 2 shots are among the 4, and the 4 among the 8; no image comes twice. `k=None` takes all, in order.

    Raises:
        DataError: there are fewer images than `k`.
    """
    import torch

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
    """Write the choice to a file that you can commit and pass to `--manifest`."""
    write_json(path, references.manifest())


def read_manifest(path: Path) -> Shots:
    """Read what `write_manifest` wrote.

    Raises:
        DataError: the file does not exist, or is not a manifest.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((str(row["name"]), str(row["sha256"])) for row in data["references"])
        shots = Shots(str(data["category"]), data["seed"], rows)
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a shot manifest; use a references.json that normalgen wrote") from error
    if not rows:
        raise DataError(f"manifest {path} names no references; use one that does")
    if len({name for name, _ in rows}) < len(rows):
        raise DataError(f"manifest {path} names a reference twice; remove one of the two")
    return shots


def from_manifest(normals: Images, shots: Shots, *, category: str, noun: str) -> References:
    """Return the references that a manifest names, in its order, after checking their hashes.

    Raises:
        DataError: an image is missing or has changed.
    """
    index = {name: i for i, name in enumerate(normals.names)}
    missing = [name for name, _ in shots.rows if name not in index]
    if missing:
        raise DataError(
            f"the manifest names {missing[0]!r}, which is not among the {len(normals)} images of {category}"
        )
    images = normals.take([index[name] for name, _ in shots.rows]).kept()
    for name, expected, actual in zip(images.names, [digest for _, digest in shots.rows], images.hashes(), strict=True):
        if expected != actual:
            raise DataError(
                f"{name} is not the image that the manifest names: SHA-256 {actual[:12]}, expected {expected[:12]}"
            )
    return References(images, category, noun, shots.seed, len(normals))
