"""The one shape that every reader gives."""

import re
from dataclasses import dataclass

from normalgen.errors import DataError
from normalgen.images import Images

__all__ = ["Category", "category_noun", "check_name"]


@dataclass(frozen=True)
class Category:
    """One kind of part.

    Attributes:
        dataset: such as "elpv" or "mvtec"; with `name`, it seeds the choice of shots.
        name: such as "elpv-mono"; names folders.
        noun: the object in prompts, such as "solar cell".
        normals: the normal images to choose references from.
    """

    dataset: str
    name: str
    noun: str
    normals: Images


def check_name(name: str) -> str:
    """`name`, if it can name a folder on any system.

    Raises:
        DataError: empty, `..`, or with characters other than letters, digits, space, `_`, `-`, `.`.
    """
    if not re.fullmatch(r"\w[\w .-]{0,99}", name) or ".." in name or name != name.strip(" ."):
        raise DataError(
            f"a category name has letters, digits, ' ', '-', '_' and '.' only, at most 100, got {name!r}; "
            "give another with --category"
        )
    return name


def category_noun(name: str) -> str:
    """The noun of a category that names none: its name with spaces, "metal_nut" -> "metal nut"."""
    return name.replace("-", " ").replace("_", " ").strip()
