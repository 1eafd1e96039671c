"""Where data sets lie: their folders by the usual names, and the image files in them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.listing import is_photo, photo_endings
from normalgen.io.atomic import passed_over

__all__ = ["USUAL", "child", "folders", "found_in", "image_files", "items", "locate", "plain", "same_stem", "subfolder"]

DEPTH = 3
USUAL = {
    "mvtec": ("mvtec", "mvtecad", "mvtecanomalydetection"),
    "visa": ("visa", "visa20220922", "visapytorch", "1cls"),
    "ksdd": ("ksdd", "sdd", "kolektorsdd", "kolektorsddboxes"),
    "aitex": ("aitex", "afid", "aitexfabricimagedatabase"),
    "brain-mri": ("brainmri", "braintumordataset"),
    "head-ct": ("headct", "headcthemorrhage"),
    "oct2017": ("oct2017", "kermany2018", "retinaoct2017ad", "retinaoct2017", "oct2017ad"),
    "resc": ("resc", "retinarescad", "retinaresc", "rescad"),
    "mnist": ("mnist", "mnistpng", "raw"),
    "cifar10": ("cifar10", "cifar10png", "cifar10jpg", "cifar10python", "cifar10batchespy"),
}


def plain(name: str) -> str:
    """Return the letters and digits of a folder's name, in lower case: so "OCT2017 " and "oct-2017" are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def locate(root: Path, names: Iterable[str], fits: Callable[[Path], bool]) -> Path | None:
    """Return `root` if it fits, else the first folder up to three levels deep that fits and has one of `names`."""
    wanted, level = set(names), [root]
    for _ in range(DEPTH + 1):
        for folder in level:
            if fits(folder):
                return folder
        level = [inner for folder in level for inner in folders(folder) if plain(inner.name) in wanted]
    return None


def subfolder(folder: Path, *names: str) -> Path | None:
    """Return the folder in `folder` with one of these names, in any case; the inner one if it is doubled, `x/x`."""
    wanted = {name.lower() for name in names}
    outer = next((inner for inner in folders(folder) if inner.name.lower().strip() in wanted), None)
    if outer is None:
        return None
    return next((inner for inner in folders(outer) if inner.name.lower() in wanted), outer)


def child(folder: Path, *names: str) -> Path:
    """Return the same folder, which must exist.

    Raises:
        DataError: it does not exist.
    """
    inner = subfolder(folder, *names)
    if inner is None:
        raise DataError(f"{folder} must hold the folder {' or '.join(names)}, found {found_in(folder)}")
    return inner


def need_root(root: Path, holds: str) -> None:
    """Check that a data folder is one.

    Raises:
        DataError: it does not exist, or is a file; the message ends with what it should hold.
    """
    if not root.is_dir():
        wrong = "is a file" if root.exists() else "does not exist"
        raise DataError(f"the data folder {root} {wrong}; name the folder that holds {holds}")


def found_in(folder: Path, most: int = 8) -> str:
    """Return the first names in a folder, for messages."""
    if not folder.is_dir():
        return "no such folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def image_files(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the image files in a folder, sorted, without hidden files and records of pools; `deep`: at any depth."""
    inside = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in inside if not passed_over(path, folder) and is_photo(path))


def items(folder: Path, prefix: str = "") -> list[ImageItem]:
    """Return the images directly in a folder, called `prefix` and the file's name.

    Raises:
        DataError: no such folder, or no image in it.
    """
    files = image_files(folder) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder} must hold images, found {found_in(folder)}")
    return [file_item(file, prefix + file.name) for file in files]


def same_stem(folder: Path, stem: str) -> Path | None:
    """Return the image in `folder` with this stem and any ending, in lower or upper case."""
    endings = (ending for suffix in sorted(photo_endings()) for ending in (suffix, suffix.upper()))
    return next((file for ending in endings if (file := folder / f"{stem}{ending}").is_file()), None)


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones and records of pools; none if it does not exist."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in inside if path.is_dir() and not passed_over(path, folder))
