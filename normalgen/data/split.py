"""Training and test images where a data set says nothing of it: 75 to 25, by sorted names."""

from collections.abc import Iterable

from normalgen.data.category import GOOD, TestImage
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images

__all__ = ["split"]

SHARE, SEED = 0.25, 42


def split(normals: Iterable[ImageItem]) -> tuple[Images, tuple[TestImage, ...]]:
    """Return 75 % of the normal images to choose references from, the others as good test images; sorted by name.

    As InCTRL (Zhu and Pang 2024) splits sets without official parts: scikit-learn's train_test_split, seed 42. Differs:
    names are sorted first, so that the same files split alike on every disk; counts agree with theirs, membership need
    not.

    Raises:
        DataError: fewer than two images.
    """
    from sklearn.model_selection import train_test_split

    items = sorted(normals, key=lambda item: item.name)
    if len(items) < 2:
        raise DataError(f"a split needs at least 2 normal images, got {len(items)}")
    kept, tested = train_test_split(items, test_size=SHARE, random_state=SEED)
    by_name = [sorted(part, key=lambda item: item.name) for part in (kept, tested)]
    return Images(by_name[0]), tuple(TestImage(item, GOOD) for item in by_name[1])
