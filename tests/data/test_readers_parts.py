"""Sets whose images are parts of files: tiles, columns, slices by their masks, rows of arrays."""

import gzip
import pickle
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tiny_sets
from PIL import Image

from normalgen.data.counts import GOOD_TESTS, OTHER_TESTS
from normalgen.data.readers.aitex import aitex
from normalgen.data.readers.cifar10 import cifar10, read_batch
from normalgen.data.readers.ksdd import ksdd
from normalgen.data.readers.mnist import mnist, read_idx
from normalgen.data.readers.oct import oct2017, resc
from normalgen.data.windows import columns, thirds
from normalgen.errors import DataError


def test_thirds_and_columns_cover_the_image() -> None:
    assert thirds(9, 32) == [(0, 0, 9, 10), (0, 10, 9, 21), (0, 21, 9, 32)]
    assert columns(600, 8, 256) == [(0, 0, 256, 8), (256, 0, 512, 8), (512, 0, 600, 8)]
    assert len(columns(4096, 256, 256)) == 16


def test_ksdd_tiles_are_labelled_by_their_part_of_the_mask(tmp_path: Path) -> None:
    found = ksdd(tiny_sets.ksdd(tmp_path))
    assert found.counts == (7, 3, 2)
    assert [test.image.name for test in found.tests if test.label] == ["kos02_Part1_1.png", "kos02_Part1_2.png"]
    marked = [test.marked(image.size) for test, image in zip(found.tests, found.queries, strict=True)]
    assert [int(part.sum()) for part in marked][-2:] == [2, 2]


def test_a_tile_is_a_png_of_its_part(tmp_path: Path) -> None:
    found = ksdd(tiny_sets.ksdd(tmp_path))
    item = next(test.image for test in found.tests if test.image.name == "kos02_Part1_1.png")
    with Image.open(BytesIO(item.read())) as tile, Image.open(tmp_path / "kos02/Part1.jpg") as whole:
        assert tile.format == "PNG"
        assert tile.tobytes() == whole.convert("RGB").crop((0, 10, 9, 21)).tobytes()


def test_no_image_is_decoded_when_listing(tmp_path: Path) -> None:
    for root in (tiny_sets.ksdd(tmp_path / "k"), tiny_sets.resc(tmp_path / "r")):
        for file in [*root.rglob("Part*.jpg"), *root.rglob("original_images/*/*")]:
            file.write_bytes(b"damaged")
    assert ksdd(tmp_path / "k").counts == (7, 3, 2)
    with pytest.raises(DataError, match=r"Part0\.jpg cannot be read as an image"):
        ksdd(tmp_path / "k").normals[0]
    assert resc(tmp_path / "r").counts == (4, 4, 2)


def test_an_image_of_another_size_than_its_mask_is_refused(tmp_path: Path) -> None:
    tiny_sets.picture(tiny_sets.ksdd(tmp_path) / "kos01/Part0.jpg", (9, 33))
    found = ksdd(tmp_path)
    with pytest.raises(DataError, match=r"Part0.jpg has \(9, 33\) pixels, expected \(9, 32\)"):
        list(found.normals)


def test_aitex_keeps_marked_columns_alone(tmp_path: Path) -> None:
    found = aitex(tiny_sets.aitex(tmp_path))
    defects = [(test.image.name, test.kind) for test in found.tests if test.label]
    assert defects == [
        ("0044_019_04_00.png", "fuzzyball"),
        ("0044_019_04_02.png", "fuzzyball"),
        ("0062_036_06_01.png", "weft crack"),
        ("0062_036_06_02.png", "weft crack"),
    ]
    assert found.counts == (6, 2, 4)
    assert found.queries[-1].size == (88, 8)


def test_aitex_unites_the_parts_of_a_mask_and_says_which_image_has_none(tmp_path: Path) -> None:
    found = aitex(tiny_sets.aitex(tmp_path))
    marked = [int(test.marked(found.queries[place].size).sum()) for place, test in enumerate(found.tests) if test.label]
    assert marked == [20, 40, 96, 64]
    assert found.notes == ("0100_025_08.png has no mask and is left out",)


def test_aitex_is_read_under_either_spelling_doubled_or_not(tmp_path: Path) -> None:
    one, other = tiny_sets.aitex(tmp_path / "a"), tiny_sets.aitex(tmp_path / "b")
    (other / "Defect_images/Defect_images").rename(other / "flat")
    (other / "Defect_images").rmdir()
    (other / "flat").rename(other / "Defect_images")
    (other / "NODefect_images").rename(other / "NoDefect_images")
    (other / "Defect_images/._0044_019_04.png").touch()
    assert aitex(one).queries.names == aitex(other).queries.names


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    tiny_sets.mask(tiny_sets.aitex(tmp_path) / "Mask_images/Mask_images/0062_036_06_mask.png", (601, 8))
    with pytest.raises(DataError, match=r"has \(601, 8\) pixels and 0062_036_06.png \(600, 8\)"):
        aitex(tmp_path)


def test_the_shots_of_oct2017_come_from_train_and_val_is_left_alone(tmp_path: Path) -> None:
    found = oct2017(tiny_sets.oct2017(tmp_path))
    assert found.counts == (3, 2, 6)
    assert not any("/val/" in item.source for item in [*found.normals.items, *found.queries.items])
    assert {test.kind for test in found.tests} == {"good", "CNV", "DME", "DRUSEN"}


def test_bmads_spellings_are_all_read(tmp_path: Path) -> None:
    one, other = (resc(tiny_sets.bmad(tmp_path / name, masks="label")) for name in "ab")
    (tmp_path / "b/test/Ungood").rename(tmp_path / "b/test/ungood")
    (tmp_path / "b/train/good").rename(tmp_path / "b/train/img")
    (tmp_path / "b/train/good").mkdir()
    (tmp_path / "b/train/img").rename(tmp_path / "b/train/good/img")
    again = resc(tmp_path / "b")
    assert (again.normals.names, again.queries.names) == (one.normals.names, one.queries.names)
    assert again.normals.items[0].source != other.normals.items[0].source


def test_raw_resc_is_labelled_slice_by_slice(tmp_path: Path) -> None:
    found = resc(tiny_sets.resc(tmp_path))
    assert found.normals.names[0] == "P0001_MacularCube.img/1.bmp"
    assert [test.image.name for test in found.tests if test.label] == [
        f"valid/P000{volume}_MacularCube.img/2.bmp" for volume in (1, 2)
    ]


def test_mnist_reads_its_arrays_row_by_row(tmp_path: Path) -> None:
    three = mnist(tiny_sets.mnist(tmp_path), "3")
    assert [np.asarray(image)[0, 0, 0] for image in three.normals] == [3, 13, 23, 33]
    assert three.normals.names == ["train/00003", "train/00013", "train/00023", "train/00033"]
    assert three.counts == (4, 2, 18)
    assert three.tests[-1].kind == "9"


def test_idx_files_may_be_unpacked_or_have_a_dot(tmp_path: Path) -> None:
    packed = mnist(tiny_sets.mnist(tmp_path), "0").queries.hashes()
    for file in list(tmp_path.iterdir()):
        (tmp_path / file.name.removesuffix(".gz").replace("-idx", ".idx")).write_bytes(
            gzip.decompress(file.read_bytes())
        )
        file.unlink()
    assert mnist(tmp_path, "0").queries.hashes() == packed


@pytest.mark.parametrize("keep", [0, 3, 12, 500])
def test_a_damaged_idx_file_is_named(keep: int, tmp_path: Path) -> None:
    whole = tiny_sets.idx(np.zeros((20, 28, 28), np.uint8))
    (tmp_path / "a-ubyte").write_bytes(whole[:keep])
    (tmp_path / "a-ubyte.gz").write_bytes(gzip.compress(whole)[: keep // 20])
    with pytest.raises(DataError, match=r"a-ubyte is not a whole idx file of bytes"):
        read_idx(tmp_path / "a-ubyte")
    with pytest.raises(DataError, match=r"a-ubyte.gz (cannot be unpacked|is not a whole)"):
        read_idx(tmp_path / "a-ubyte.gz")


def test_fewer_images_than_labels_are_refused(tmp_path: Path) -> None:
    tiny_sets.mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(tiny_sets.idx(np.zeros((7, 28, 28), np.uint8))))
    with pytest.raises(DataError, match=r"holds \(7, 28, 28\), expected 40 images"):
        mnist(tmp_path, "0").normals[0]


def test_at_most_100_good_and_900_others_are_tested_and_always_the_same(tmp_path: Path) -> None:
    root = tiny_sets.mnist(tmp_path, train=20, test=1200)
    one, again, other = (mnist(root, name) for name in "112")
    assert one.counts[1:] == (GOOD_TESTS, OTHER_TESTS) == (100, 900)
    assert one.queries.names == again.queries.names
    assert {test.kind for test in one.tests} == {"good", *"023456789"}
    assert set(one.queries.names) != set(other.queries.names)


def test_cifar10_reads_the_batches_as_published(tmp_path: Path) -> None:
    cat = cifar10(tiny_sets.cifar10(tmp_path, each=2), "cat")
    assert cat.normals.names[:3] == ["data_batch_1/00003", "data_batch_1/00013", "data_batch_2/00003"]
    assert cat.counts == (10, 2, 18)
    assert cat.normals[2].size == (32, 32)
    assert cat.normals[2].getpixel((5, 7)) == (1, 3, 0)
    assert cat.normals[3].getpixel((0, 0)) == (1, 13, 0)


def test_a_batch_pickled_by_todays_numpy_is_read_too(tmp_path: Path) -> None:
    values = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": values, b"labels": [3, 9]}, protocol=3))
    pixels, labels = read_batch(tmp_path / "batch")
    assert (pixels.tolist(), labels) == (values.tolist(), [3, 9])


class Code:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def test_code_in_a_batch_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "data_batch_1"
    for code, name in ((Code(Path.touch, tmp_path / "ran"), "pathlib"), (Code(eval, "1"), "builtins.eval")):
        for held in (code, {b"data": code, b"labels": []}):
            file.write_bytes(pickle.dumps(held))
            with pytest.raises(DataError, match=rf"data_batch_1 is not a batch .*{name}.*refused"):
                read_batch(file)
    assert not (tmp_path / "ran").exists()


def test_only_arrays_of_bytes_in_the_right_shape_are_taken(tmp_path: Path) -> None:
    values = np.zeros((2, 3072), np.uint8)
    wrong = [
        ({b"data": values.astype(np.float32), b"labels": [0, 1]}, "not of bytes"),
        ({b"data": values[:, :9].copy(), b"labels": [0, 1]}, r"pixels \(2, 9\) and 2 labels"),
        ({b"data": values, b"labels": [0]}, "and 1 labels"),
        ({b"data": values, b"labels": [0, 10]}, "2 labels"),
        ({b"labels": [0]}, "data"),
    ]
    for held, message in wrong:
        (tmp_path / "batch").write_bytes(pickle.dumps(held, protocol=3))
        with pytest.raises(DataError, match=message):
            read_batch(tmp_path / "batch")


@pytest.mark.parametrize("keep", [0, 1, 40, 200, 3000])
def test_a_batch_that_is_cut_off_is_named(keep: int, tmp_path: Path) -> None:
    file = tiny_sets.cifar10(tmp_path) / "test_batch"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=re.escape(f"{file} is not a batch of CIFAR-10")):
        cifar10(tmp_path, "cat")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mnist, class 9: .* found 0 training, 0 good and 5 other test images"):
        mnist(tiny_sets.mnist(tmp_path, train=9, test=5), "9")


def test_raw_resc_is_read_under_short_names_too(tmp_path: Path) -> None:
    root = tiny_sets.resc(tmp_path)
    for name, short in (("Edema_trainingset", "train"), ("Edema_validationset", "valid")):
        for labels in (root / name / "label_images").iterdir():
            labels.rename(labels.with_name(labels.name.replace("_labelMark", ".img")))
        (root / name).rename(root / short)
    assert resc(root).counts == (4, 4, 2)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a-ubyte.gz", "wb", compresslevel=1) as stream:
        for _ in range(130):
            stream.write(bytes(2**20))
    with pytest.raises(DataError, match="unpacks to more than"):
        read_idx(tmp_path / "a-ubyte.gz")
