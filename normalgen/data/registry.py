"""The data sets that can be read by name."""

from collections.abc import Callable, Iterable
from pathlib import Path

from normalgen.data.category import Category
from normalgen.data.counts import PUBLISHED
from normalgen.data.labels import LabelNames
from normalgen.data.layout import USUAL, locate, need_root, plain
from normalgen.data.published_set import Dataset
from normalgen.data.readers import cifar10, mnist, mvtec, visa
from normalgen.data.readers.aitex import aitex, fits_aitex
from normalgen.data.readers.brain_mri import brain_mri, fits_brain_mri
from normalgen.data.readers.elpv import elpv
from normalgen.data.readers.head_ct import fits_head_ct, head_ct
from normalgen.data.readers.ksdd import fits_ksdd, ksdd
from normalgen.data.readers.oct import fits_oct2017, fits_resc, oct2017, resc
from normalgen.errors import DataError

__all__ = ["DATASETS", "check_said", "departures", "find_dataset", "found_datasets"]

NON_COMMERCIAL = "CC BY-NC-SA 4.0 (no commercial use)"
NOT_STATED = "none that we found stated; ask the owners"


def _alone(
    name: str,
    title: str,
    licence: str,
    where: str,
    layout: str,
    fits: Callable[[Path], bool] | None,
    load: Callable[[Path], Category],
) -> Dataset:
    """Return a data set of one category with the set's name."""
    return Dataset(
        name, title, licence, where, layout, PUBLISHED[name], fits, lambda _: [name], lambda root, _: load(root)
    )


def _cells(name: str, kinds: str) -> Dataset:
    title = f"ELPV, electroluminescence images of solar cells{kinds}"
    package = "the package elpv-dataset (pip install elpv-dataset)"
    return _alone(name, title, NON_COMMERCIAL, package, "the package, no folder", None, lambda _: elpv(name))


def _folder(said: LabelNames) -> Dataset:
    """Return the data set "folder", with what the user says about its folders' names."""
    return Dataset(
        "folder",
        "any data set in MVTec layout",
        "as its owners say",
        "your own folders",
        "CATEGORY/train/good/x.png; to be tested on, also test/KIND/x.png and ground_truth/KIND/x_mask.png",
        PUBLISHED["folder"],
        lambda root: bool(mvtec.mvtec_categories(root, said=said, asked=True)),
        lambda root: mvtec.mvtec_categories(root, said=said, asked=True),
        lambda root, name: mvtec.mvtec_category(root, name, root.resolve().name, bare=True, said=said),
    )


_LISTED = (
    Dataset(
        "mvtec",
        "MVTec-AD, industrial objects and textures",
        NON_COMMERCIAL,
        "mvtec.com/company/research/datasets/mvtec-ad",
        "CATEGORY/{train/good,test/KIND,ground_truth/KIND}",
        PUBLISHED["mvtec"],
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
        PUBLISHED["visa"],
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
        fits_ksdd,
        ksdd,
    ),
    _alone(
        "aitex",
        "AITEX fabrics (paper: AFID)",
        NOT_STATED,
        "aitex.es/afid",
        "NODefect_images/FABRIC/x.png, Defect_images/x.png, Mask_images/x_mask.png",
        fits_aitex,
        aitex,
    ),
    _cells("elpv", ""),
    _cells("elpv-mono", ", monocrystalline alone"),
    _cells("elpv-poly", ", polycrystalline alone"),
    _alone(
        "brain-mri",
        "BrainMRI, brain tumors in MRI",
        "none stated",
        "Kaggle, navoneel/brain-mri-images-for-brain-tumor-detection",
        "the folders no and yes",
        fits_brain_mri,
        brain_mri,
    ),
    _alone(
        "head-ct",
        "HeadCT, hemorrhages in CT of the head",
        NOT_STATED,
        "Kaggle, felipekitamura/head-ct-hemorrhage",
        "labels.csv and head_ct/head_ct/NNN.png",
        fits_head_ct,
        head_ct,
    ),
    _alone(
        "oct2017",
        "OCT2017, retinal OCT (Kermany et al.)",
        "CC BY 4.0",
        "Kaggle, paultimothymooney/kermany2018, or BMAD (github.com/DorisBao/BMAD)",
        "{train,test}/{NORMAL,CNV,DME,DRUSEN}, or as BMAD: {train/good,test/good,test/Ungood}",
        fits_oct2017,
        oct2017,
    ),
    _alone(
        "resc",
        "RESC, retinal edema in OCT",
        NOT_STATED,
        "BMAD (github.com/DorisBao/BMAD) or github.com/CharlesKangZhou/P_Net_Anomaly_Detection",
        "as BMAD: {train/good,test/good/img,test/Ungood/{img,label}}, or {train,valid}/{original_images,label_images}",
        fits_resc,
        resc,
    ),
    Dataset(
        "mnist",
        "MNIST, handwritten digits, one against all",
        "none stated",
        "yann.lecun.com/exdb/mnist",
        "the four files {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz, or {train,test}/DIGIT/x.png",
        PUBLISHED["mnist"],
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
        PUBLISHED["cifar10"],
        cifar10.fits_cifar10,
        lambda _: [*cifar10.NAMES],
        cifar10.cifar10,
    ),
    _folder(LabelNames()),
)
DATASETS = {dataset.name: dataset for dataset in _LISTED}


def find_dataset(name: str, said: LabelNames | None = None) -> Dataset:
    """Return the data set called `name`; what is said about the names of folders counts for "folder" alone.

    Raises:
        DataError: none is; lists the names.
    """
    if name not in DATASETS:
        raise DataError(f"no data set is called {name!r}; there is {', '.join(DATASETS)} (see: normalgen data list)")
    return _folder(said) if said is not None and name == "folder" else DATASETS[name]


def check_said(said: LabelNames, datasets: Iterable[str], categories: Iterable[Category]) -> None:
    """Check that what is said about the names of folders can count: each is in a category of "folder".

    Raises:
        DataError: it cannot.
    """
    if not (said.normal or said.anomalous):
        return
    if "folder" not in datasets:
        raise DataError("--normal and --anomalous name folders of --dataset folder; published sets have fixed names")
    said.check_used([folder for category in categories for folder in category.folders], "--dataset folder")


def departures(category: Category, *, fewer_tests: bool = False) -> list[str]:
    """Return how a category departs from the published whole: what its reader says, and other counts.

    Args:
        category: as read.
        fewer_tests: it was left some of its test images, as was asked: only training images are counted.
    """
    counts = category.counts
    whole = PUBLISHED.get(category.dataset, {}).get(category.name, counts)
    if fewer_tests:
        other = [f"{counts.train} training images, not the {whole.train} of the whole set"]
        return [*category.notes, *(other if counts.train != whole.train else [])]
    return [*category.notes, *([f"{counts} images, not the {whole} of the whole set"] if counts != whole else [])]


def found_datasets(root: Path, said: LabelNames | None = None) -> list[tuple[Dataset, Path]]:
    """Return the data sets of which a part is in `root`, and their folders.

    MVTec-AD is one only under a usual name: other sets have hazelnuts, too. A folder in MVTec layout that is none of
    the published sets comes as "folder", if it is `root` or directly in it; what is said about names counts there.

    Raises:
        DataError: `root` is no folder.
    """
    need_root(root, "the data sets")
    pairs = []
    for dataset in DATASETS.values():
        folder = locate(root, USUAL[dataset.name], dataset.fits) if dataset.fits and dataset.name in USUAL else None
        if folder and (dataset.name != "mvtec" or plain(folder.resolve().name) in USUAL["mvtec"]):
            pairs.append((dataset, folder))
    taken, own = {folder for _, folder in pairs}, find_dataset("folder", said)
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        if folder not in taken and any(folder / name not in taken for name in own.inside(folder)):
            pairs.append((own, folder))
    return pairs
