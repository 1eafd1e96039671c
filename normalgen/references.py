"""The k reference photos of a category: chosen, nested, repeatable, and written down as a manifest."""

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
        seed: the seed of the choice; None when all images were taken or a manifest named them.
        available: how many images they were chosen from.
        noun_given: whether the user chose the noun; a finished model's noun replaces one that nobody chose.
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
        """The photos in `folder`, or `k` of them that `seed` chooses.

        Args:
            folder: of photos of good parts.
            k: how many; None takes all.
            noun: what prompts call the part, such as "solar cell"; default: the category's name.
            category: names the folders of models and pools; default: the folder's name.
            seed: the same seed chooses the same photos; those for a smaller k are among those for a larger one.
            crop: None, "center", or (x, y, width, height) in pixels.

        Raises:
            DataError: no such folder, no photos in it, or fewer than `k`.
        """
        chosen = ReferenceChoice(Path(folder), category=category, noun=noun, k=k, seed=seed, crop=crop)
        return find_references(chosen)

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
class ReferenceChoice:
    """Which photos are to be the references.

    Attributes:
        folder: of photos of good parts; or else
        category: one built in, or one in `data`; beside a folder, the category's name.
        data: root of categories in MVTec layout, `data/CATEGORY/train/good`.
        noun: the object in prompts.
        k: how many; default: all photos of a folder, four of a category.
        manifest: a `references.json` that names them.
        crop: None, "center", or (x, y, width, height) in pixels.
        seed: chooses among more than k.
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
    """What a manifest names: (name, SHA-256) of each reference, and the category they are of."""

    category: str
    seed: int | None
    rows: tuple[tuple[str, str], ...]


def find_references(wanted: ReferenceChoice) -> References:
    """The references that are wanted; remarks on photos that are left out or copied.

    Raises:
        DataError: nothing is named, nothing is there, there are too few, or what is named contradicts itself.
    """
    note_skipped(wanted.folder)
    shots = read_manifest(wanted.manifest) if wanted.manifest else None
    name = _name(wanted, shots)
    found = folder_category(wanted.folder, name) if wanted.folder else find_category(name or "", wanted.data)
    if wanted.folder and name is None and found.name != wanted.folder.resolve().name:
        note(f"the category is called {found.name!r}, after the folder above; --category gives it another name")
    noun = (found.noun if wanted.noun is None else wanted.noun).strip()
    if not noun:
        raise DataError("--object must be a word or several, got an empty text")
    if shots:
        references = from_manifest(found.normals, shots, category=found.name, noun=noun)
    else:
        count = wanted.k if wanted.k is not None or wanted.folder else min(DEFAULT_K, len(found.normals))
        named = {"dataset": found.dataset, "category": found.name, "noun": noun}
        references = choose(found.normals, count, **named, seed=wanted.seed)
    _note_unused(references)
    return replace(references, images=references.images.cropped(wanted.crop), noun_given=wanted.noun is not None)


def _name(wanted: ReferenceChoice, shots: Shots | None) -> str | None:
    """The category's name, if one is given.

    Raises:
        DataError: nothing is named, or the manifest says otherwise.
    """
    k, category = wanted.k, wanted.category
    if shots and k not in (None, len(shots.rows)):
        raise DataError(f"the manifest names {len(shots.rows)} references and -k asks for {k}; give one of the two")
    if shots and category not in (None, shots.category):
        raise DataError(f"the manifest is of category {shots.category!r}, --category says {category!r}")
    name = category or (shots.category if shots else None)
    if wanted.folder is None and name is None:
        raise DataError("name a folder of normal photos (normalgen generate ./good) or a --category")
    return None if name is None else check_name(name)


def _note_unused(references: References) -> None:
    used, hashes = len(references.images), references.images.hashes()
    if used < references.available:
        note(f"{used} of {references.available} normal images are references (-k); the others are left out")
    if len(set(hashes)) < used:
        note(f"of {used} references only {len(set(hashes))} differ, the others are copies of them")


def note_lost_detail(references: References, size: int) -> None:
    """Remark on what the resize to `size` pixels hides or skews. Decodes every photo, once.

    Raises:
        DataError: a photo cannot be read, or the crop leaves it.
    """
    smallest = references.images.smallest_detail(size)
    if smallest > 3:
        hidden = f"a defect narrower than about {smallest} of their pixels will not show"
        note(f"photos are scaled down to {size} px: {hidden}; use --crop, or a larger --size")
    longest = references.images.elongation(size)
    if longest > 1.1:
        skewed = f"photos are squashed to a square (sides up to {longest:.1f} to 1) before --augment turns them"
        note(f"{skewed}, which skews shapes; --crop center, or x,y,width,height of a square, avoids that")


def choose(normals: Images, k: int | None, *, dataset: str, category: str, noun: str, seed: int) -> References:
    """The first k of a permutation of the names that only (dataset, category, seed) decides.

    So 2 shots are among the 4, and the 4 among the 8; none comes twice. `k=None` takes all, in order.

    Raises:
        DataError: fewer images than `k`.
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
