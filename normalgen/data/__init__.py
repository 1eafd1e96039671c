"""Categories: the normal training images of one kind of part, wherever they come from."""

from normalgen.data.category import GOOD, Category, TestImage, category_noun, check_name, kind_of
from normalgen.data.find import find_category, folder_category

__all__ = [
    "GOOD",
    "Category",
    "TestImage",
    "category_noun",
    "check_name",
    "find_category",
    "folder_category",
    "kind_of",
]
