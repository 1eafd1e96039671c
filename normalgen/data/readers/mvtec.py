"""MVTec-AD (Bergmann et al. 2019) and every data set in its layout.

CATEGORY/train/good/x.png, CATEGORY/test/{good,DEFECT}/x.png, CATEGORY/ground_truth/DEFECT/x_mask.png (or x.png; or, as
in MVTec LOCO, a folder x of masks whose union counts). Folders may have other names for good and bad, such as ok and
ko (BTAD): see `normalgen.data.labels`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from normalgen.data.category import GOOD, Category, TestImage, category_noun
from normalgen.data.counts import PUBLISHED
from normalgen.data.folder_names import Role, name_role
from normalgen.data.labels import FolderLabel, Folders, LabelNames, masks_among, read_folders, stem_of_photo
from normalgen.data.layout import child, folders, found_in, image_files, items, need_root, subfolder
from normalgen.data.windows import union
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images

__all__ = [
    "NAMES",
    "marked_categories",
    "masks_in",
    "mvtec_categories",
    "mvtec_category",
    "mvtec_tests",
    "normal_images",
    "train_folders",
]

NAMES = tuple(PUBLISHED["mvtec"])
UNSAID = LabelNames()


def train_folders(category: Path, said: LabelNames = UNSAID, *, asked: bool = False) -> list[Path]:
    """Return the folders of normal images in `category/train`, by their names; `asked` adds those of unknown names."""
    roles = (Role.NORMAL, Role.UNKNOWN, Role.KIND) if asked else (Role.NORMAL,)
    train = subfolder(category, "train", "training")
    inside = folders(train) if train else []
    return [folder for folder in inside if (said.role(folder.name) or name_role(folder.name)) in roles]


def normal_images(trained: Sequence[Path]) -> Images:
    """Return the images in these folders, without masks next to them, called as their files; folder first if several.

    Raises:
        DataError: a folder holds no image.
    """
    normals: list[ImageItem] = []
    for folder in trained:
        inside = Images.from_folder(folder).items
        masks, prefix = masks_among(inside), f"{folder.name}/" if len(trained) > 1 else ""
        normals += [replace(item, name=prefix + item.name) for item in inside if item.name not in masks]
    return Images(normals)


def mvtec_categories(
    root: Path, names: tuple[str, ...] | None = None, said: LabelNames = UNSAID, *, asked: bool = False
) -> list[str]:
    """Return the folders in `root` with normal images in `train`, or those of `names` with anything in them.

    So half a download of a published set shows. `asked` adds folders with `test` and with unknown names in `train`.
    """
    if names is None:
        return [folder.name for folder in folders(root) if _is_category(folder, said, asked=asked)]
    return sorted(name for name in names if any((root / name / part).is_dir() for part in ("train", "test")))


def _is_category(folder: Path, said: LabelNames, *, asked: bool) -> bool:
    if train_folders(folder, said):
        return True
    return asked and subfolder(folder, "test") is not None and bool(train_folders(folder, said, asked=True))


def mvtec_category(root: Path, name: str, dataset: str, *, bare: bool = False, said: LabelNames = UNSAID) -> Category:
    """Return one category; its normal images keep their file names, test images are called `test/KIND/x.png`.

    Args:
        root: the folder that holds the category's.
        name: the category.
        dataset: what the data set is called.
        bare: whether the folder `test`, masks, and single ones of them may be missing.
        said: what the user says about the folders' names.

    Raises:
        DataError: no good training images, or test images, good ones among them, or masks missing; or a folder's name
            says nothing: asks what it is.
    """
    folder = root / name
    trained, normals = _normals(folder, said)
    noun = category_noun(name)
    if bare and subfolder(folder, "test") is None:
        return Category(dataset, name, noun, normals, folders=trained)
    if not bare:
        child(folder, "ground_truth")
    tested, tests = mvtec_tests(folder, said if bare else None, strict=not bare)
    if all(test.label for test in tests):
        test = child(folder, "test")
        raise DataError(f"{test} must hold the folder {GOOD}, found {found_in(test)}; --normal NAME names another")
    lacking = [test.image.name for test in tests if test.label and test.mask is None]
    notes = []
    if lacking and len(lacking) < sum(test.label for test in tests):
        notes.append(f"{len(lacking)} anomalous images have no mask, such as {lacking[0]}")
    return Category(dataset, name, noun, normals, tests, tuple(notes), (*trained, *tested))


def _normals(category: Path, said: LabelNames) -> tuple[tuple[FolderLabel, ...], Images]:
    """Return what the folders in `train` were taken for, and the normal images in them."""
    train = subfolder(category, "train", "training") or category / "train"
    read, _ = _read(train, said, "train")
    if not read.of(Role.NORMAL):
        return (), Images(items(train / GOOD))
    labels = [replace(label, used=label.role is not Role.ANOMALOUS) for label in read.labels.values()]
    return tuple(labels), normal_images([train / name for name in read.of(Role.NORMAL)])


def _read(part: Path, said: LabelNames | None, prefix: str) -> tuple[Folders, dict[str, list[ImageItem]]]:
    """Return what the folders in `part` are taken for, and the images in each, called `PREFIX/FOLDER/x.png`.

    Raises:
        DataError: a folder of normal or anomalous images is empty, or a name says nothing.
    """
    pictures = {}
    for folder in folders(part):
        inside = [file_item(file, f"{prefix}/{folder.name}/{file.name}") for file in image_files(folder)]
        masks = masks_among(inside)
        pictures[folder.name] = [item for item in inside if item.name not in masks]
    read = read_folders(pictures, said, f"{prefix}/")
    read.need_known(part)
    for name in read.of(Role.NORMAL, Role.ANOMALOUS):
        if not pictures[name]:
            raise DataError(f"{part / name} must hold images, found {found_in(part / name)}")
    return read, pictures


def mvtec_tests(
    category: Path, said: LabelNames | None, *, strict: bool = True
) -> tuple[tuple[FolderLabel, ...], tuple[TestImage, ...]]:
    """Return what the folders in `category/test` were taken for, and their images, with masks if there are any.

    Images in folders that name no label are left out.

    Args:
        category: holds `test`, and perhaps `ground_truth` or another folder of masks.
        said: what the user says about the folders' names; None for a published set: good, or a kind of defect.
        strict: whether each anomalous image must have a mask if there is a folder of them.

    Raises:
        DataError: an empty folder, a name that says nothing, or a mask is missing.
    """
    test = child(category, "test")
    read, pictures = _read(test, said, "test")
    truth = next((folder for folder in folders(category) if name_role(folder.name) is Role.MASKS), None)
    tests: list[TestImage] = []
    kinds = read.of(Role.ANOMALOUS)
    for name in read.of(Role.NORMAL, Role.ANOMALOUS):
        masks = masks_in(truth, name, alone=len(kinds) == 1) if name in kinds else {}
        for item in pictures[name]:
            stem = Path(item.name).stem
            if strict and truth and name in kinds and stem not in masks:
                raise DataError(f"{item.source} has no mask; expected {truth / name / f'{stem}_mask.png'}")
            tests.append(TestImage(item, read.labels[name].label or name, masks.get(stem)))
    if not tests:
        raise DataError(f"{test} must hold the folder good and one per defect, found {found_in(test)}")
    return tuple(read.labels.values()), tuple(tests)


def masks_in(truth: Path | None, kind: str, *, alone: bool) -> dict[str, ImageItem]:
    """Return the masks for `test/KIND` by the stems of their images: `STEM_mask.png`, `STEM.png` or all of `STEM/`.

    They are in a folder of the same name; those of the only kind may be directly in `truth`.
    """
    holders = [folder for folder in (subfolder(truth, kind), truth if alone else None) if folder] if truth else []
    masks: dict[str, list[Path]] = {}
    for holder in reversed(holders):
        masks |= {folder.name: files for folder in folders(holder) if (files := image_files(folder))}
        files = image_files(holder)
        masks |= {file.stem: [file] for file in files}
        suffixed: dict[str, list[Path]] = {}
        for file in files:
            if stem_of_photo(file.stem) != file.stem:
                suffixed.setdefault(stem_of_photo(file.stem), []).append(file)
        masks |= suffixed
    return {stem: file_item(files[0]) if len(files) == 1 else union(files) for stem, files in masks.items()}


def marked_categories(root: Path, said: LabelNames = UNSAID) -> list[Category]:
    """Return the categories in `root` that have masks, with their test images alone, to learn where defects are.

    Raises:
        DataError: no such folder, no masks, an anomalous image without one, or a folder's name says no label.
    """
    need_root(root, "CATEGORY/test")
    marked = [
        folder
        for folder in folders(root)
        if subfolder(folder, "test") and any(name_role(inner.name) is Role.MASKS for inner in folders(folder))
    ]
    dataset, categories = root.resolve().name, []
    for folder in marked:
        labels, tests = mvtec_tests(folder, said)
        named = (dataset, folder.name, category_noun(folder.name))
        categories.append(Category(*named, Images([]), tests, folders=labels))
    said.check_used([label for category in categories for label in category.folders], root)
    if not any(test.mask for category in categories for test in category.tests):
        raise DataError(
            f"no masks in {root}, which holds {found_in(root)}; expected MVTec layout: "
            f"{root}/CATEGORY/test/DEFECT/x.png and {root}/CATEGORY/ground_truth/DEFECT/x_mask.png"
        )
    return categories
