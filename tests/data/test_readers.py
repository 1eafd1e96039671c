"""What all readers promise, the sets that are folders of files, and the real images where they are."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_sets

from normalgen.data.category import Category
from normalgen.data.layout import locate
from normalgen.data.registry import DATASETS, find_dataset, found_datasets
from normalgen.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
Writer = Callable[[Path], Path]
SETS: dict[str, tuple[str, str, Writer, str]] = {
    "mvtec": ("mvtec", "MVTec_AD", lambda root: tiny_sets.mvtec(root, "screw", "bottle"), "screw"),
    "visa": ("visa", "VisA_20220922", tiny_sets.visa, "pcb1"),
    "visa converted": ("visa", "VisA_pytorch/1cls", lambda root: tiny_sets.mvtec(root, "pipe_fryum"), "pipe fryum"),
    "ksdd": ("ksdd", "KolektorSDD", tiny_sets.ksdd, "metal surface"),
    "aitex": ("aitex", "AITEX", tiny_sets.aitex, "fabric"),
    "brain-mri": ("brain-mri", "brain_tumor_dataset", tiny_sets.brain_mri, "brain MRI"),
    "head-ct": ("head-ct", "HeadCT", tiny_sets.head_ct, "head CT"),
    "oct2017": ("oct2017", "kermany2018/OCT2017 ", tiny_sets.oct2017, "retinal OCT"),
    "oct2017 of BMAD": ("oct2017", "Retina_OCT2017_AD/OCT2017", tiny_sets.bmad, "retinal OCT"),
    "resc": ("resc", "RESC", tiny_sets.resc, "retinal OCT"),
    "resc of BMAD": ("resc", "Retina_RESC_AD", partial(tiny_sets.bmad, masks="label"), "retinal OCT"),
    "resc of MVFA": (
        "resc",
        "Retina_RESC_AD",
        partial(tiny_sets.bmad, masks="anomaly_mask", train=False),
        "retinal OCT",
    ),
    "mnist": ("mnist", "MNIST/raw", tiny_sets.mnist, "handwritten digit 7"),
    "mnist as images": (
        "mnist",
        "mnist_png",
        partial(tiny_sets.class_folders, names=tuple("0123456789")),
        "handwritten digit 7",
    ),
    "cifar10": ("cifar10", "cifar-10-batches-py", tiny_sets.cifar10, "horse"),
    "cifar10 as images": ("cifar10", "cifar10_png", partial(tiny_sets.class_folders, names=tiny_sets.CLASSES), "horse"),
    "folder": ("folder", "", lambda root: tiny_sets.mvtec(root, "my_part"), "my part"),
}


@pytest.fixture(params=SETS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, list[Category]]:
    """A set of each kind: the folder above it, its own, and all its categories."""
    name, folder, write, _ = SETS[request.param]
    written = write(tmp_path / folder)
    dataset = find_dataset(name)
    return tmp_path, written, [dataset.read(tmp_path, each) for each in dataset.categories(tmp_path)]


def test_no_test_image_is_among_the_normals_and_names_are_unique(read: tuple[Path, Path, list[Category]]) -> None:
    for category in read[2]:
        items = [*category.normals.items, *category.queries.items]
        assert len({item.name for item in items}) == len({item.source for item in items}) == len(items)
        assert set(category.labels) == {0, 1}


def test_every_image_decodes_and_every_mask_fits(read: tuple[Path, Path, list[Category]]) -> None:
    for category in read[2]:
        assert all(image.mode == "RGB" for image in category.normals)
        for test in category.tests:
            assert test.mask is None or test.load(16)[1].shape == (16, 16)
            assert bool(test.mask) <= bool(test.label)


def test_the_folder_itself_and_the_one_above_give_the_same(read: tuple[Path, Path, list[Category]]) -> None:
    above, folder, categories = read
    dataset = next(each for each, _ in found_datasets(above))
    names = dataset.categories(folder)
    again = [dataset.read(folder, name) for name in names]
    assert [each.queries.names for each in again] == [each.queries.names for each in categories]
    assert [each.normals.hashes() for each in again] == [each.normals.hashes() for each in categories]


@pytest.mark.parametrize("kind", SETS)
def test_nouns_are_human(kind: str, tmp_path: Path) -> None:
    name, folder, write, noun = SETS[kind]
    write(tmp_path / folder)
    dataset = find_dataset(name)
    assert noun in [dataset.read(tmp_path, each).noun for each in dataset.categories(tmp_path)]


@pytest.mark.parametrize("name", [name for name in DATASETS if DATASETS[name].fits])
def test_a_wrong_folder_is_told_what_was_expected_found_and_where_to_get_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday photos").mkdir()
    dataset = find_dataset(name)
    for ask in (lambda: dataset.categories(tmp_path), lambda: dataset.read(tmp_path, "x")):
        with pytest.raises(DataError) as caught:
            ask()
        for part in (str(tmp_path), "holiday photos", dataset.layout, dataset.where, dataset.licence):
            assert part in str(caught.value)


def test_unknown_sets_and_categories_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set is called 'mvtek'; there is mvtec, visa, ksdd, .* folder"):
        find_dataset("mvtek")
    root = tiny_sets.mvtec(tmp_path, "screw", "bottle")
    with pytest.raises(DataError, match=r"has no category 'nut' here; there is bottle, screw"):
        find_dataset("mvtec").read(root, "nut")
    with pytest.raises(DataError, match="is read from a folder"):
        find_dataset("mvtec").categories(None)


def remove(root: Path, what: str) -> None:
    path = root / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()


HALVES = [
    ("mvtec", "screw/test", "must hold the folder test, found ground_truth, train"),
    ("mvtec", "screw/train/good", "train/good must hold images, found no such folder"),
    ("mvtec", "screw/test/good", "must hold the folder good, found scratch"),
    ("mvtec", "screw/ground_truth", "must hold the folder ground_truth, found test, train"),
    ("mvtec", "screw/ground_truth/scratch/001_mask.png", "001.png has no mask; expected .*001_mask"),
    ("visa", "split_csv/1cls.csv", "1cls.csv is missing or cannot be read"),
    ("visa", "candle/Data/Images/Normal/0001.JPG", "names 'candle/.*0001.JPG' of candle, which is not there"),
    ("visa", "candle/Data/Masks", "names 'candle/Data/Masks/.*not there"),
    ("ksdd", "kos01/Part1_label.bmp", "Part1.jpg has no mask; expected .*Part1_label.bmp"),
    ("aitex", "Mask_images", "must hold the folder mask_images, found Defect_images, NODefect_images"),
    ("aitex", "NODefect_images", "must hold the folder nodefect_images"),
    ("brain-mri", "yes", "must hold the folders no and yes, found no"),
    ("head-ct", "labels.csv", "labels.csv is missing"),
    ("head-ct", "head_ct/head_ct/003.png", "labels.csv names .*003.png, which is not there"),
    ("oct2017", "test/DME", "must hold the folder DME, found CNV, DRUSEN, NORMAL"),
    ("oct2017", "train/NORMAL", "must hold images, found no such folder"),
    ("oct2017 of BMAD", "test/good", "must hold the folder good, found Ungood"),
    ("oct2017 of BMAD", "train/good", "must hold the folder good, found nothing"),
    ("resc of BMAD", "test/Ungood/label/1.png", "1.png has no mask in"),
    ("resc", "Edema_validationset/label_images/P0001_MacularCube_labelMark/2.bmp", "2.bmp has no mask in"),
    ("resc", "Edema_validationset", "must hold the folder valid or Edema_validationset, found Edema_trainingset"),
    ("mnist", "t10k-labels-idx1-ubyte.gz", "holds t10k-images-idx3-ubyte.gz without its labels"),
    ("mnist", "t10k-images-idx3-ubyte.gz", "holds t10k-labels-idx1-ubyte.gz without its images"),
    ("mnist as images", "test/4", "test/4 must hold images, found no such folder"),
    ("cifar10", "data_batch_3", "data_batch_3 is missing"),
]


@pytest.mark.parametrize(("kind", "gone", "message"), HALVES)
def test_half_a_download_says_what_is_missing(kind: str, gone: str, message: str, tmp_path: Path) -> None:
    name, _, write, _ = SETS[kind]
    remove(write(tmp_path), gone)
    dataset = find_dataset(name)
    categories = sorted(dataset.categories(tmp_path), key=lambda each: each not in gone)
    with pytest.raises(DataError, match=message) as caught:
        dataset.read(tmp_path, categories[0])
    assert "is not whole: " in str(caught.value)
    assert dataset.where in str(caught.value)


def test_mvtec_keeps_its_parts_kinds_and_masks(tmp_path: Path) -> None:
    screw = find_dataset("mvtec").read(tiny_sets.mvtec(tmp_path, "screw"), "screw")
    assert screw.normals.names == ["000.png", "001.png", "002.png"]
    assert [test.kind for test in screw.tests] == 3 * ["good"] + 2 * ["scratch"]
    assert screw.tests[3].image.name == "test/scratch/000.png"
    image = screw.queries[3]
    assert np.argwhere(screw.tests[3].marked(image.size)).min(0).tolist() == [3, 2]
    assert not screw.tests[0].marked(image.size).any()


def test_a_folder_may_lack_tests_and_masks(tmp_path: Path) -> None:
    tiny_sets.mvtec(tmp_path, "bare", "unmarked")
    shutil.rmtree(tmp_path / "bare/test")
    shutil.rmtree(tmp_path / "unmarked/ground_truth")
    bare, unmarked = (find_dataset("folder").read(tmp_path, name) for name in ("bare", "unmarked"))
    assert (len(bare.normals), bare.tests, bare.dataset) == (3, (), tmp_path.name)
    with pytest.raises(DataError, match=r"anomalous \(scratch\) and has no mask"):
        unmarked.tests[-1].load(16)


def test_visa_is_split_by_its_table(tmp_path: Path) -> None:
    candle = find_dataset("visa").read(tiny_sets.visa(tmp_path), "candle")
    assert candle.normals.names == ["Normal/0000.JPG", "Normal/0001.JPG", "Normal/0002.JPG"]
    assert [(test.image.name, test.kind) for test in candle.tests] == [
        ("Normal/0003.JPG", "good"),
        ("Anomaly/000.JPG", "anomaly"),
    ]
    assert candle.tests[1].marked(candle.queries[1].size).sum() == 9


def test_a_table_of_visa_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tiny_sets.visa(tmp_path) / "split_csv/1cls.csv").write_text("object,split\ncandle,train\n")
    with pytest.raises(DataError, match=r"1cls\.csv is damaged, or another table \(row 1: label: Field required\)"):
        find_dataset("visa").read(tmp_path, "candle")


def test_head_ct_goes_by_its_list(tmp_path: Path) -> None:
    head = find_dataset("head-ct").read(tiny_sets.head_ct(tmp_path), "head-ct")
    assert head.counts == (3, 2, 5)
    assert [test.image.name for test in head.tests if test.label] == [f"{number:03d}.png" for number in range(5)]


def test_one_normal_image_cannot_be_split(tmp_path: Path) -> None:
    root = tiny_sets.brain_mri(tmp_path)
    for file in list((root / "no").iterdir())[1:]:
        file.unlink()
    with pytest.raises(DataError, match="at least 2 normal images, got 1"):
        find_dataset("brain-mri").read(root, "brain-mri")


def test_usual_names_are_looked_for_three_folders_deep(tmp_path: Path) -> None:
    (tmp_path / "AITEX/AITEX/odd/Fabric").mkdir(parents=True)
    (tmp_path / "AITEX/AITEX/here").touch()
    assert locate(tmp_path, ["aitex"], lambda folder: (folder / "here").is_file()) == tmp_path / "AITEX/AITEX"
    assert locate(tmp_path, ["aitex"], lambda folder: folder.name == "Fabric") is None


def test_published_counts_are_those_of_the_protocols() -> None:
    totals = {name: tuple(map(sum, zip(*each.published.values(), strict=True))) for name, each in DATASETS.items()}
    assert totals["mvtec"] == (3629, 467, 1258)
    assert totals["visa"] == (8659, 962, 1200)
    assert (totals["ksdd"], totals["aitex"]) == ((857, 286, 54), (1692, 564, 183))
    assert (totals["oct2017"], totals["resc"]) == ((26315, 242, 726), (4297, 1041, 764))


def test_the_document_has_the_counts_of_the_registry() -> None:
    text = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    for name, each in DATASETS.items():
        total = " / ".join(str(sum(column)) for column in zip(*each.published.values(), strict=True))
        assert f"`{name}`" in text
        assert total in text


@pytest.mark.parametrize("name", ["elpv", "elpv-mono", "elpv-poly"])
def test_elpv_has_the_published_counts(name: str) -> None:
    dataset = find_dataset(name)
    (category,) = dataset.categories()
    cells = dataset.read(None, category)
    assert cells.counts == dataset.published[name]
    assert not set(cells.normals.names) & set(cells.queries.names)


def real(folder: str) -> Path:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the real images {folder} are not beside this checkout")
    return SHARED


def test_the_real_brain_mri_has_the_published_counts() -> None:
    brain = find_dataset("brain-mri").read(real("BrainMRI"), "brain-mri")
    assert brain.counts == (73, 25, 155)


@pytest.mark.parametrize(
    ("name", "folder", "category", "counts"),
    [
        ("mvtec", "mvtec", "screw", (32, 41, 40)),
        ("folder", "hazelnut_photos", "hazelnut", (28, 6, 17)),
        ("mnist", "mnist_png", "3", (16, 30, 270)),
        ("cifar10", "cifar10_jpg", "frog", (16, 30, 270)),
    ],
)
def test_the_real_images_are_read(name: str, folder: str, category: str, counts: tuple[int, int, int]) -> None:
    found = find_dataset(name).read(real(folder) / folder, category)
    assert found.counts == counts
    assert not {item.source for item in found.normals.items} & {item.source for item in found.queries.items}
    assert all(test.mask is None or test.load(64)[1].any() for test in found.tests)


def test_all_real_sets_are_found_under_one_root() -> None:
    found = {(dataset.name, folder.name) for dataset, folder in found_datasets(real(""))}
    assert {("mvtec", "mvtec"), ("brain-mri", "BrainMRI"), ("folder", "hazelnut_photos")} <= found


def test_hidden_folders_are_no_defects(tmp_path: Path) -> None:
    root = tiny_sets.mvtec(tmp_path, "screw")
    (root / "screw/test/.ipynb_checkpoints").mkdir()
    assert {test.kind for test in find_dataset("mvtec").read(root, "screw").tests} == {"good", "scratch"}
