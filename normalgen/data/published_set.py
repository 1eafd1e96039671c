"""What a published data set is: where it comes from, how it must lie on the disk, and its reader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from normalgen.data.category import Category
from normalgen.data.counts import Counts
from normalgen.data.layout import USUAL, found_in, locate
from normalgen.errors import DataError

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A published data set.

    Attributes:
        name: such as "mvtec".
        title: what it is.
        licence: as its owners state it; whoever downloads the images is bound by it.
        where: where to get it.
        layout: of its folder, in words.
        published: the counts that reading the whole set must give, by category; empty where none are published.
        fits: whether a folder holds it, or a part of it; None for sets that come as a package.
        inside: the categories in its folder.
        load: one of them, from its folder.
    """

    name: str
    title: str
    licence: str
    where: str
    layout: str
    published: Mapping[str, Counts]
    fits: Callable[[Path], bool] | None
    inside: Callable[[Path], list[str]]
    load: Callable[[Path, str], Category]

    def folder(self, root: Path | None) -> Path:
        """Return the set's folder: `root`, or one in it with its usual name.

        Raises:
            DataError: `root` holds no part of it.
        """
        if self.fits is None:
            return Path()
        if root is None:
            raise DataError(
                f"the data set {self.name} is read from a folder; name it or the folder above. {self._get()}"
            )
        folder = locate(root, USUAL.get(self.name, ()), self.fits)
        if folder is None:
            raise DataError(f"{root} does not hold {self.title}: found {found_in(root)}. {self._get()}")
        return folder

    def categories(self, root: Path | None = None) -> list[str]:
        """Return the names of the categories that `root` holds, by the folders' names alone.

        Args:
            root: the set's folder, or one above that has it by its usual name; None for sets that come as a package.

        Raises:
            DataError: `root` holds no part of the set.
        """
        return self.inside(self.folder(root))

    def read(self, root: Path | None, category: str) -> Category:
        """Return one category, split into normal training images and labelled test images.

        Raises:
            DataError: no such category, or a part of it is missing; says what was expected and where to get it.
            MissingDependency: the set is a package that is not installed.
        """
        folder = self.folder(root)
        names = self.inside(folder)
        if category not in names:
            raise DataError(f"{self.title} has no category {category!r} here; there is {', '.join(names)}")
        try:
            return self.load(folder, category)
        except DataError as error:
            raise DataError(f"{self.name}/{category} is not whole: {error}. {self._get()}") from error

    def _get(self) -> str:
        return f"Expected: {self.layout}. Get it from {self.where}; licence: {self.licence}"
