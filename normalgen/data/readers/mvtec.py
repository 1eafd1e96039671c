"""MVTec-AD (Bergmann et al. 2019) and every data set in its layout.

CATEGORY/train/good/x.png, CATEGORY/test/{good,DEFECT}/x.png, CATEGORY/ground_truth/DEFECT/x_mask.png (or x.png).
"""

from pathlib import Path

from normalgen.data.category import GOOD, Category, TestImage, category_noun, kind_of
from normalgen.data.counts import PUBLISHED
from normalgen.data.layout import child, folders, found_in, items, same_stem
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images

__all__ = ["NAMES", "marked_categories", "mvtec_categories", "mvtec_category", "mvtec_tests"]

NAMES = tuple(PUBLISHED["mvtec"])


def mvtec_categories(root: Path, names: tuple[str, ...] | None = None) -> list[str]:
    """The folders in `root` with `train/good`; or those of `names` with anything, so that half a download shows."""
    if names is None:
        return sorted(path.parent.parent.name for path in root.glob("*/train/good") if path.is_dir())
    return sorted(name for name in names if any((root / name / part).is_dir() for part in ("train", "test")))


def mvtec_category(root: Path, name: str, dataset: str, *, bare: bool = False) -> Category:
    """One category; its normal images keep their file names, test images are called `test/KIND/x.png`.

    Args:
        root: the folder that holds the category's.
        name: the category.
        dataset: what the data set is called.
        bare: whether it may have no folder `test`, and none `ground_truth`.

    Raises:
        DataError: no good training images, or test images, good ones among them, or masks missing.
    """
    folder = root / name
    normals = Images(items(folder / "train" / GOOD))
    if bare and not (folder / "test").is_dir():
        return Category(dataset, name, category_noun(name), normals)
    if not bare:
        child(folder, "ground_truth")
    tests = mvtec_tests(folder)
    if all(test.label for test in tests):
        raise DataError(f"{folder / 'test'} must hold the folder {GOOD}, found {found_in(folder / 'test')}")
    return Category(dataset, name, category_noun(name), normals, tests)


def mvtec_tests(category: Path) -> tuple[TestImage, ...]:
    """The images of `category/test`; with masks if there is a folder `ground_truth`.

    Raises:
        DataError: an empty folder, or an anomalous image without mask beside others that have theirs.
    """
    truth = category / "ground_truth"
    tests: list[TestImage] = []
    for folder in folders(child(category, "test")):
        kind = kind_of(folder.name)
        masked = kind != GOOD and truth.is_dir()
        for item in items(folder, f"test/{folder.name}/"):
            tests.append(TestImage(item, kind, _mask(truth / folder.name, item) if masked else None))
    if not tests:
        raise DataError(f"{category / 'test'} must hold the folder good and one a defect, found nothing")
    return tuple(tests)


def _mask(folder: Path, image: ImageItem) -> ImageItem:
    stem = Path(image.name).stem
    file = same_stem(folder, f"{stem}_mask") or same_stem(folder, stem)
    if file is None:
        raise DataError(f"{image.source} has no mask; expected {folder / f'{stem}_mask.png'}")
    return file_item(file)


def marked_categories(root: Path) -> list[Category]:
    """The categories in `root` that have masks, with their test images alone, to learn from where defects are.

    Raises:
        DataError: no such folder, no masks, or an anomalous image without one.
    """
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist; name the folder that holds CATEGORY/test")
    folders = sorted(path.parent for path in root.glob("*/ground_truth") if (path.parent / "test").is_dir())
    dataset = root.resolve().name
    found = [Category(dataset, each.name, category_noun(each.name), Images([]), mvtec_tests(each)) for each in folders]
    if not any(test.mask for category in found for test in category.tests):
        raise DataError(
            f"no masks in {root}, which holds {found_in(root)}; expected MVTec layout: "
            f"{root}/CATEGORY/test/DEFECT/x.png and {root}/CATEGORY/ground_truth/DEFECT/x_mask.png"
        )
    return found
