"""Retinal OCT: OCT2017 (Kermany et al. 2018) and RESC (Hu et al. 2019), as BMAD (Bao et al. 2024) has them, or raw.

The shots come from the training images without defects, not from the validation set: that one has too few. Copies
without training images, which MVFA (Huang et al. 2024) works with, give what `valid/good` has.
"""

from pathlib import Path

from normalgen.data.category import GOOD, Category, TestImage
from normalgen.data.layout import USUAL, child, found_in, image_files, items, plain, same_stem, subfolder
from normalgen.data.windows import marks
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images

__all__ = ["fits_oct2017", "fits_resc", "oct2017", "resc"]

NOUN = "retinal OCT"
DISEASES = ("CNV", "DME", "DRUSEN")
MASKS = ("label", "anomaly_mask")
# BMAD's other sets, in the same layout.
OTHERS = {
    *("brainad", "liverad", "chestad", "histopathologyad"),
    *("brats2021slice", "histdiy", "rsna", "camelyon16256"),
}
TRAIN, VALID = ("train", "Edema_trainingset"), ("valid", "Edema_validationset")


def fits_oct2017(root: Path) -> bool:
    """Return whether `root` holds OCT2017, raw or in BMAD's layout."""
    raw = any((root / part / kind).is_dir() for part in ("train", "test") for kind in DISEASES)
    return raw or _of_bmad(root) == "oct2017"


def oct2017(root: Path) -> Category:
    """Return OCT2017, which has no masks; test images are called `test/KIND/x.jpeg`.

    Raises:
        DataError: a folder is missing or empty.
    """
    if _of_bmad(root):
        return _bmad(root, "oct2017", masked=False)
    test = child(root, "test")
    tests = [TestImage(item, GOOD) for item in items(child(test, "NORMAL"), "test/NORMAL/")]
    for kind in DISEASES:
        tests += [TestImage(item, kind) for item in items(child(test, kind), f"test/{kind}/")]
    return Category("oct2017", "oct2017", NOUN, Images(items(child(root, "train") / "NORMAL")), tuple(tests))


def fits_resc(root: Path) -> bool:
    """Return whether `root` holds RESC, raw or in BMAD's layout."""
    parts = [part for names in (TRAIN, VALID) if (part := subfolder(root, *names))]
    return any(subfolder(part, "original_images") for part in parts) or _of_bmad(root) == "resc"


def resc(root: Path) -> Category:
    """Return RESC, with masks.

    In the raw set all slices of `valid` are test images, and a slice is normal if nothing in it is marked. So listing
    the raw set decodes every mask, but no image.

    Raises:
        DataError: a folder or a mask is missing.
    """
    if _of_bmad(root):
        return _bmad(root, "resc", masked=True)
    train = child(root, *TRAIN)
    normals = [test.image for test in _slices(train, "") if not test.label]
    if not normals:
        raise DataError(f"{train} holds no slice without marks")
    return Category("resc", "resc", NOUN, Images(normals), tuple(_slices(child(root, *VALID), "valid/")))


def _of_bmad(root: Path) -> str:
    """Return which set `root` holds in BMAD's layout, "" for neither: by the folders' names, else by its masks."""
    ungood = subfolder(root / "test", "ungood")
    if ungood is None:
        return ""
    for name in (plain(folder.name) for folder in (root.resolve(), root.resolve().parent)):
        if name in OTHERS:
            return ""
        if named := next((dataset for dataset in ("oct2017", "resc") if name in USUAL[dataset]), ""):
            return named
    return "resc" if subfolder(ungood, *MASKS) else "oct2017"


def _bmad(root: Path, name: str, *, masked: bool) -> Category:
    train = subfolder(root, "train")
    good = child(train or child(root, "valid"), GOOD)
    notes = () if train else (f"{root} has no folder train; references come from valid/good",)
    return Category(name, name, NOUN, Images(items(_inside(good))), _bmad_tests(root, masked=masked), notes)


def _inside(folder: Path) -> Path:
    """Return the folder `img`, where BMAD keeps images next to masks, and some copies all images; else `folder`."""
    return subfolder(folder, "img") or folder


def _bmad_tests(root: Path, *, masked: bool) -> tuple[TestImage, ...]:
    ungood = child(root / "test", "ungood")
    good = [TestImage(item, GOOD) for item in items(_inside(child(root / "test", GOOD)), "test/good/")]
    bad = items(_inside(ungood), "test/Ungood/")
    masks = [_mask(child(ungood, *MASKS), item) if masked else None for item in bad]
    return (*good, *(TestImage(item, "Ungood", mask) for item, mask in zip(bad, masks, strict=True)))


def _mask(folder: Path, image: ImageItem) -> ImageItem:
    file = same_stem(folder, Path(image.name).stem)
    if file is None:
        raise DataError(f"{image.source} has no mask in {folder}")
    return file_item(file)


def _slices(part: Path, prefix: str) -> list[TestImage]:
    """Return all slices in `part/original_images`, by their masks in `part/label_images`.

    There a volume `X.img` is called `X_labelMark`, or the same.
    """
    images, labels = child(part, "original_images"), child(part, "label_images")
    slices = []
    for file in image_files(images, deep=True):
        inside = file.relative_to(images)
        marked = labels / f"{inside.parent}".replace(".img", "_labelMark")
        mask = same_stem(marked, file.stem) or same_stem(labels / inside.parent, file.stem)
        if mask is None:
            raise DataError(f"{file} has no mask in {marked}")
        item = file_item(file, f"{prefix}{inside.as_posix()}")
        slices.append(TestImage(item, "edema", file_item(mask)) if marks(mask).any() else TestImage(item, GOOD))
    if not slices:
        raise DataError(f"{images} must hold images, found {found_in(images)}")
    return slices
