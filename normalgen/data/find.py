"""From what a user names to a Category: a folder, a data set in MVTec layout, or a built-in."""

from contextlib import suppress
from pathlib import Path

from normalgen.data.category import Category, category_noun, check_name
from normalgen.data.layout import USUAL, need_root, plain
from normalgen.data.readers.elpv import ELPV, elpv
from normalgen.data.readers.mvtec import mvtec_categories, normal_images, train_folders
from normalgen.errors import DataError

__all__ = ["find_category", "folder_category", "known_categories"]

SAYS_NOTHING = ("good", "ok", "normal", "train")


def folder_category(folder: Path, name: str | None = None) -> Category:
    """Return the images directly in `folder` as a category.

    `name` defaults to the folder's. A folder called good, ok, normal or train says nothing of what is in it: then the
    nearest one above it that does, and that `folder` spells out, gives the name ("bracket" for bracket/train/good).
    Where you are does not matter: plain `good` stays "good".

    Raises:
        DataError: no such folder, no images, or a name that cannot name a folder.
    """
    normals = normal_images([folder])
    name = check_name(name or _name(folder))
    return Category("folder", name, category_noun(name), normals)


def _name(folder: Path) -> str:
    own = folder.resolve().name
    if own.lower() not in SAYS_NOTHING:
        return own
    names = (path.name for path in (folder, *folder.parents))
    telling = (name for name in names if name.lower() not in ("", "..", *SAYS_NOTHING))
    with suppress(DataError):
        return check_name(next(telling, own))
    return own


def known_categories(root: Path | None) -> list[str]:
    """Return the built-in categories, and those in MVTec layout under `root`."""
    return [*ELPV, *(mvtec_categories(root) if root else [])]


def _called(root: Path) -> str:
    """Return the name of the data set in a folder; for a published one the name in `normalgen evaluate`."""
    own = root.resolve().name
    return next((name for name in ("mvtec", "visa") if plain(own) in USUAL[name]), own)


def find_category(name: str, root: Path | None) -> Category:
    """Return the category called `name`: `root/<name>/train/good` (MVTec layout), or a built-in.

    Raises:
        DataError: nothing is called so, with the lines that would make it work.
        MissingDependency: a built-in whose package is not installed.
    """
    check_name(name)
    if root is not None:
        need_root(root, f"{name}/train/good")
    trained = train_folders(root / name) if root else []
    if root is not None and trained:
        return Category(_called(root), name, category_noun(name), normal_images(trained))
    if name in ELPV:
        return elpv(name)
    raise DataError(
        f"no category is called {name!r}; there is {', '.join(known_categories(root))}. To make it work:\n"
        f"  normalgen generate FOLDER_OF_GOOD_PHOTOS --category {name}\n"
        f"  normalgen generate --category {name} --data ROOT    (ROOT/{name}/train/good, MVTec layout)\n"
        f"  NORMALGEN_DATA=ROOT normalgen generate --category {name}"
    )
