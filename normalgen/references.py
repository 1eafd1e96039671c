"""The k reference photos of a category: a repeatable, nested choice, recorded in a manifest."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path

from normalgen.data.category import check_name
from normalgen.data.find import find_category, folder_category
from normalgen.data.manifest import Shots, read_manifest
from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.images import Images
from normalgen.images.listing import note_skipped
from normalgen.images.peek import lost_detail
from normalgen.io.atomic import write_json
from normalgen.io.notes import note
from normalgen.io.rng import generator

__all__ = [
    "ReferenceChoice",
    "References",
    "choose",
    "find_references",
    "from_manifest",
    "note_lost_detail",
    "write_manifest",
]

DEFAULT_K = 4
MOST_TILES = 1024
"""Most tiles to learn from: so many features fit into 0.4 GB."""


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
        tile: side of the tiles that photos are cut into, in pixels; 0 leaves them whole.
    """

    images: Images
    category: str
    noun: str
    seed: int | None
    available: int
    noun_given: bool = False
    tile: int = 0

    @cached_property
    def pieces(self) -> Images:
        """The images to learn from: the references, or at most 1024 of their tiles, in a random order."""
        from normalgen.images.tiles import mixed, tiled

        return mixed(tiled(self.images, self.tile), MOST_TILES) if self.tile else self.images

    def tiles(self, index: int) -> Images:
        """Return the tiles of a reference, row by row; itself alone if it is not cut."""
        from normalgen.images.tiles import tiled

        photo = self.images.take([index])
        return tiled(photo, self.tile) if self.tile else photo

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
        tile: int = 0,
    ) -> References:
        """Return the photos in `folder`, or `k` of them that `seed` chooses.

        Args:
            folder: holds photos of good parts.
            k: number of references; None takes all photos.
            noun: the object in prompts, such as "solar cell"; default: the category's name.
            category: names the folders of models and pools; default: the folder's name.
            seed: the same seed chooses the same photos; a larger k includes the photos of a smaller one.
            crop: None, "center", or (x, y, width, height) in pixels.
            tile: cut photos into overlapping squares of this many pixels, to learn from and to judge; 0 leaves them
                whole.

        Raises:
            DataError: the folder does not exist, or holds no photos or fewer than `k`; or a tile is too small.
        """
        chosen = ReferenceChoice(Path(folder), category=category, noun=noun, k=k, seed=seed, crop=crop, tile=tile)
        return find_references(chosen)

    def identity(self) -> dict[str, object]:
        """Return everything in the references that affects results, as plain data for a record."""
        return {
            "category": self.category,
            "object": self.noun,
            "references": self.images.hashes(),
            "crop": self.images.crop,
        } | ({"tile": self.tile} if self.tile else {})

    def manifest(self) -> dict[str, object]:
        """Return category, seed, and the name and SHA-256 of each reference, as plain data."""
        rows = self.images.manifest()
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
        tile: as in `References`.
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
    tile: int = 0


def find_references(wanted: ReferenceChoice) -> References:
    """Return the references that `wanted` describes; notes skipped, unused and duplicate photos.

    Raises:
        DataError: nothing is named, photos are missing or too few, or the options contradict each other.
    """
    if wanted.tile:
        from normalgen.images.tiles import check_tile

        check_tile(wanted.tile)
    note_skipped(wanted.folder)
    shots = read_manifest(wanted.manifest) if wanted.manifest else None
    name = _name(wanted, shots)
    own = wanted.category
    category = folder_category(wanted.folder, own) if wanted.folder else find_category(name or "", wanted.data)
    if shots and shots.category != category.name:
        raise DataError(
            f"the manifest is for category {shots.category!r}, the photos are {category.name!r}; "
            f"name another manifest, or add --category {shots.category}"
        )
    if wanted.folder and own is None and category.name != wanted.folder.resolve().name:
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
    cropped = references.images.cropped(wanted.crop)
    return replace(references, images=cropped, noun_given=wanted.noun is not None, tile=wanted.tile)


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
    what = "tiles" if references.tile else "photos"
    if hidden := lost_detail(references.pieces.smallest_detail(size), size, what):
        note(f"{hidden}; use --crop, a smaller --tile, or a larger --size")


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


def from_manifest(normals: Images, shots: Shots, *, category: str, noun: str) -> References:
    """Return the references that a manifest names, in its order, found by their hashes, whatever they are called now.

    Raises:
        DataError: an image is missing or has changed.
    """
    normals = normals.kept()
    named = {name: place for place, name in enumerate(normals.names)}
    chosen = [_place(normals, named.get(name), name, digest, category) for name, digest in shots.rows]
    return References(normals.take(chosen), category, noun, shots.seed, len(normals))


def _place(normals: Images, named: int | None, name: str, digest: str, category: str) -> int:
    """Return the index of the image with this SHA-256: the one at `named`, or else any; raises if there is none."""
    if named is not None and normals.take([named]).hashes() == [digest]:
        return named
    hashes = normals.hashes()
    if digest not in hashes:
        changed = "" if named is None else f"; {name} is another image now"
        raise DataError(
            f"the manifest names {name!r} (SHA-256 {digest[:12]}), which is not among the {len(normals)} images of "
            f"{category}{changed}"
        )
    return hashes.index(digest)
