"""The data sets that can be read by name."""

from collections.abc import Callable, Iterable
from pathlib import Path

from normalgen.data import cifar10, mnist, mvtec, visa
from normalgen.data.aitex import aitex, fits_aitex
from normalgen.data.category import Category
from normalgen.data.classes import GOOD_TESTS, OTHER_TESTS
from normalgen.data.dataset import Counts, Dataset
from normalgen.data.elpv import elpv
from normalgen.data.head_ct import fits_head_ct, head_ct
from normalgen.data.ksdd import fits_ksdd, ksdd
from normalgen.data.oct import fits_oct2017, fits_resc, oct2017, resc
from normalgen.data.places import USUAL, locate, plain
from normalgen.data.yes_no import brain_mri, fits_brain_mri
from normalgen.errors import DataError

__all__ = ["DATASETS", "departures", "find_dataset", "found_datasets"]

NON_COMMERCIAL = "CC BY-NC-SA 4.0 (no commercial use)"
NOT_STATED = "none that we found stated; ask the owners"

MVTEC_COUNTS = {
    "bottle": Counts(209, 20, 63),
    "cable": Counts(224, 58, 92),
    "capsule": Counts(219, 23, 109),
    "carpet": Counts(280, 28, 89),
    "grid": Counts(264, 21, 57),
    "hazelnut": Counts(391, 40, 70),
    "leather": Counts(245, 32, 92),
    "metal_nut": Counts(220, 22, 93),
    "pill": Counts(267, 26, 141),
    "screw": Counts(320, 41, 119),
    "tile": Counts(230, 33, 84),
    "toothbrush": Counts(60, 12, 30),
    "transistor": Counts(213, 60, 40),
    "wood": Counts(247, 19, 60),
    "zipper": Counts(240, 32, 119),
}
VISA_COUNTS = {
    "candle": Counts(900, 100, 100),
    "capsules": Counts(542, 60, 100),
    "cashew": Counts(450, 50, 100),
    "chewinggum": Counts(453, 50, 100),
    "fryum": Counts(450, 50, 100),
    "macaroni1": Counts(900, 100, 100),
    "macaroni2": Counts(900, 100, 100),
    "pcb1": Counts(904, 100, 100),
    "pcb2": Counts(901, 100, 100),
    "pcb3": Counts(905, 101, 100),
    "pcb4": Counts(904, 101, 100),
    "pipe_fryum": Counts(450, 50, 100),
}
DIGITS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def _alone(
    name: str,
    title: str,
    licence: str,
    where: str,
    layout: str,
    counts: Counts,
    fits: Callable[[Path], bool] | None,
    load: Callable[[Path], Category],
) -> Dataset:
    """A data set of one category, called as the set is."""
    return Dataset(
        name, title, licence, where, layout, {name: counts}, fits, lambda _: [name], lambda root, _: load(root)
    )


def _cells(name: str, kinds: str, counts: Counts) -> Dataset:
    title = f"ELPV, electroluminescence images of solar cells{kinds}"
    package = "the package elpv-dataset (pip install elpv-dataset)"
    return _alone(name, title, NON_COMMERCIAL, package, "the package, no folder", counts, None, lambda _: elpv(name))


def _against_all(names: Iterable[str], trained: Iterable[int]) -> dict[str, Counts]:
    return {name: Counts(count, GOOD_TESTS, OTHER_TESTS) for name, count in zip(names, trained, strict=True)}


_LISTED = (
    Dataset(
        "mvtec",
        "MVTec-AD, industrial objects and textures",
        NON_COMMERCIAL,
        "mvtec.com/company/research/datasets/mvtec-ad",
        "CATEGORY/{train/good,test/KIND,ground_truth/KIND}",
        MVTEC_COUNTS,
        lambda root: bool(mvtec.mvtec_categories(root, mvtec.NAMES)),
        lambda root: mvtec.mvtec_categories(root, mvtec.NAMES),
        lambda root, name: mvtec.mvtec_category(root, name, "mvtec"),
    ),
    Dataset(
        "visa",
        "VisA, industrial objects",
        "CC BY 4.0",
        "github.com/amazon-science/spot-diff",
        "split_csv/1cls.csv and CATEGORY/Data/{Images,Masks}, or converted to MVTec layout",
        VISA_COUNTS,
        visa.fits_visa,
        visa.visa_categories,
        visa.visa_category,
    ),
    _alone(
        "ksdd",
        "KolektorSDD, metal surfaces of commutators (paper: KSDD, SDD)",
        NON_COMMERCIAL,
        "vicos.si/resources/kolektorsdd",
        "kosNN/PartM.jpg with kosNN/PartM_label.bmp",
        Counts(857, 286, 54),
        fits_ksdd,
        ksdd,
    ),
    _alone(
        "aitex",
        "AITEX fabrics (paper: AFID)",
        NOT_STATED,
        "aitex.es/afid",
        "NODefect_images/FABRIC/x.png, Defect_images/x.png, Mask_images/x_mask.png",
        Counts(1692, 564, 183),
        fits_aitex,
        aitex,
    ),
    _cells("elpv", "", Counts(1131, 377, 715)),
    _cells("elpv-mono", ", monocrystalline alone", Counts(441, 147, 313)),
    _cells("elpv-poly", ", polycrystalline alone", Counts(690, 230, 402)),
    _alone(
        "brain-mri",
        "BrainMRI, brain tumors in MRI",
        "none stated",
        "Kaggle, navoneel/brain-mri-images-for-brain-tumor-detection",
        "the folders no and yes",
        Counts(73, 25, 155),
        fits_brain_mri,
        brain_mri,
    ),
    _alone(
        "head-ct",
        "HeadCT, hemorrhages in CT of the head",
        NOT_STATED,
        "Kaggle, felipekitamura/head-ct-hemorrhage",
        "labels.csv and head_ct/head_ct/NNN.png",
        Counts(75, 25, 100),
        fits_head_ct,
        head_ct,
    ),
    _alone(
        "oct2017",
        "OCT2017, retinal OCT (Kermany et al.)",
        "CC BY 4.0",
        "Kaggle, paultimothymooney/kermany2018, or BMAD (github.com/DorisBao/BMAD)",
        "{train,test}/{NORMAL,CNV,DME,DRUSEN}, or as BMAD: {train/good,test/good,test/Ungood}",
        Counts(26315, 242, 726),
        fits_oct2017,
        oct2017,
    ),
    _alone(
        "resc",
        "RESC, retinal edema in OCT",
        NOT_STATED,
        "BMAD (github.com/DorisBao/BMAD) or github.com/CharlesKangZhou/P_Net_Anomaly_Detection",
        "as BMAD: {train/good,test/good/img,test/Ungood/{img,label}}, or {train,valid}/{original_images,label_images}",
        Counts(4297, 1041, 764),
        fits_resc,
        resc,
    ),
    Dataset(
        "mnist",
        "MNIST, handwritten digits, one against all",
        "none stated",
        "yann.lecun.com/exdb/mnist",
        "the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz, or {train,test}/DIGIT/x.png",
        _against_all(mnist.NAMES, DIGITS),
        mnist.fits_mnist,
        lambda _: [*mnist.NAMES],
        mnist.mnist,
    ),
    Dataset(
        "cifar10",
        "CIFAR-10, small photos, one class against all",
        "none stated; the owner asks to be cited",
        "cs.toronto.edu/~kriz/cifar.html (python version)",
        "data_batch_1 to 5 and test_batch, or {train,test}/CLASS/x.png",
        _against_all(cifar10.NAMES, [5000] * 10),
        cifar10.fits_cifar10,
        lambda _: [*cifar10.NAMES],
        cifar10.cifar10,
    ),
    Dataset(
        "folder",
        "any data set in MVTec layout",
        "as its owners say",
        "you",
        "CATEGORY/train/good/x.png; to be tested on, also test/KIND/x.png and ground_truth/KIND/x_mask.png",
        {},
        lambda root: bool(mvtec.mvtec_categories(root)),
        mvtec.mvtec_categories,
        lambda root, name: mvtec.mvtec_category(root, name, root.resolve().name, bare=True),
    ),
)
DATASETS = {each.name: each for each in _LISTED}


def find_dataset(name: str) -> Dataset:
    """The data set called `name`.

    Raises:
        DataError: none is; lists the names.
    """
    if name not in DATASETS:
        raise DataError(f"no data set is called {name!r}; there is {', '.join(DATASETS)} (see: normalgen data list)")
    return DATASETS[name]


def departures(category: Category) -> list[str]:
    """How a category departs from the published whole: what its reader says, and other counts."""
    dataset, counts = DATASETS.get(category.dataset), Counts.of(category)
    whole = dataset.published.get(category.name, counts) if dataset else counts
    other = [f"{counts} images, not the {whole} of the whole set"] if counts != whole else []
    return [*category.notes, *other]


def found_datasets(root: Path) -> list[tuple[Dataset, Path]]:
    """The data sets of which a part is in `root`, and their folders.

    MVTec-AD is one only under a usual name: other sets have hazelnuts, too. A folder in MVTec layout that is none of
    the published sets comes as "folder", if it is `root` or directly in it.

    Raises:
        DataError: `root` is no folder.
    """
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist; name the folder that holds the data sets")
    found = []
    for dataset in DATASETS.values():
        folder = locate(root, USUAL[dataset.name], dataset.fits) if dataset.fits and dataset.name in USUAL else None
        if folder and (dataset.name != "mvtec" or plain(folder.resolve().name) in USUAL["mvtec"]):
            found.append((dataset, folder))
    taken = {folder for _, folder in found}
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        if folder not in taken and any(folder / name not in taken for name in mvtec.mvtec_categories(folder)):
            found.append((DATASETS["folder"], folder))
    return found
