"""BrainMRI (Kaggle, "Brain MRI Images for Brain Tumor Detection"): folders `no` and `yes`; 98 and 155 images."""

from pathlib import Path

from normalgen.data.category import Category, TestImage
from normalgen.data.layout import found_in
from normalgen.data.split import split
from normalgen.errors import DataError
from normalgen.images.decode import file_item
from normalgen.images.images import Images

__all__ = ["brain_mri", "fits_brain_mri"]


def fits_brain_mri(root: Path) -> bool:
    """Return whether `root` holds a folder `no` or `yes`."""
    return (root / "no").is_dir() or (root / "yes").is_dir()


def brain_mri(root: Path) -> Category:
    """Return the images of `root/no`, split 75 to 25, and all of `root/yes` as anomalous.

    Its files hold duplicates, some across training and test images; `normalgen data check` lists them.

    Raises:
        DataError: a folder is missing or empty.
    """
    for part in ("no", "yes"):
        if not (root / part).is_dir():
            raise DataError(f"BrainMRI's folder {root} must hold the folders no and yes, found {found_in(root)}")
    normals, good = split(Images.from_folder(root / "no").items)
    files = [Path(item.source) for item in Images.from_folder(root / "yes").items]
    anomalous = [TestImage(file_item(file, f"yes/{file.name}"), "tumor") for file in files]
    return Category("brain-mri", "brain-mri", "brain MRI", normals, (*good, *anomalous))
