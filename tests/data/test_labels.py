"""Folders of pictures, and the line that says what each was taken for."""

import re
from pathlib import Path

import numpy as np
import pytest
import tiny_sets
from PIL import Image

from normalgen.data.category import Category
from normalgen.data.labels import LabelNames, describe
from normalgen.data.queries import find_queries, unmeasured
from normalgen.data.registry import find_dataset
from normalgen.errors import DataError

BOX = (2, 3, 6, 7)


def put(root: Path, *names: str, count: int = 2) -> Path:
    """Photos in each folder, or masks in those whose name ends with "!"."""
    for name in names:
        for number in range(count):
            path = root / name.rstrip("!") / f"{number:03d}.png"
            tiny_sets.mask(path, box=BOX) if name.endswith("!") else tiny_sets.picture(path)
    return root


QUERIES = [
    (
        "good scratch mask! unsorted",
        "good: 2 normal; scratch: 2 anomalous; mask: masks, not judged; unsorted: no label",
    ),
    ("OK NG", "OK: 2 normal; NG: 2 anomalous"),
    ("pass fail", "pass: 2 normal; fail: 2 anomalous"),
    ("no yes", "no: 2 normal; yes: 2 anomalous"),
    ("Normal nok GroundTruth!", "Normal: 2 normal; nok: 2 anomalous; GroundTruth: masks, not judged"),
    ("good crack hole", "good: 2 normal; crack: 2 anomalous; hole: 2 anomalous"),
    ("good scratch pixelwise!", "good: 2 normal; scratch: 2 anomalous; pixelwise: masks, not judged"),
    ("good scratch scratch_mask", "good: 2 normal; scratch: 2 anomalous; scratch_mask: masks, not judged"),
    ("good bad labels!", "good: 2 normal; bad: 2 anomalous; labels: masks, not judged"),
    ("good defect_1 defect_2 misc", "good: 2 normal; defect_1: 2 anomalous; defect_2: 2 anomalous; misc: no label"),
    ("good batch_2", "good: 2 normal; batch_2: no label, unknown name"),
    ("scratch hole", "hole: no label, unknown name"),
    ("good labels", "good: 2 normal; labels: no label, unknown name"),
]


@pytest.mark.parametrize(("names", "line"), QUERIES)
def test_one_line_says_what_each_folder_was_taken_for(names: str, line: str, tmp_path: Path) -> None:
    queries = find_queries(put(tmp_path, *names.split()))
    assert queries.labels_line.startswith(line)
    assert "\n" not in queries.labels_line
    masks = [name for name in line.split("; ") if "masks, not judged" in name]
    assert len(queries.images) == 2 * (len(names.split()) - len(masks))
    assert len(queries.labels) == len(queries.images)


def test_only_what_is_known_gets_a_label(tmp_path: Path) -> None:
    put(tmp_path, "OK", "dent", "batch_2", "unsorted")
    tiny_sets.picture(tmp_path / "loose.png")
    queries = find_queries(tmp_path)
    labels = dict(zip(queries.images.names, queries.labels, strict=True))
    assert labels == {
        "loose.png": None,
        **{
            f"{folder}/{stem}.png": label
            for folder, label in (("OK", "good"), ("dent", "dent"))
            for stem in ("000", "001")
        },
        **{f"{folder}/{stem}.png": None for folder in ("batch_2", "unsorted") for stem in ("000", "001")},
    }
    assert "1 photos in no sub-folder: no label" in queries.labels_line


def test_what_the_user_says_goes_before_every_guess(tmp_path: Path) -> None:
    put(tmp_path, "batch_1", "batch_2", "mask!", "good")
    said = LabelNames(("BATCH_1", "mask"), ("batch_2", "good"))
    queries = find_queries(tmp_path, said=said)
    assert describe(queries.folders) == "batch_1: 2 normal; mask: 2 normal; batch_2: 2 anomalous; good: 2 anomalous"
    assert set(queries.labels) == {"good", "batch_2", "anomalous"}
    with pytest.raises(
        DataError, match=r"--normal fine: .* has no folder of this name, found batch_1, batch_2, good, mask"
    ):
        find_queries(tmp_path, said=LabelNames(("fine",)))
    with pytest.raises(DataError, match="--normal a and --anomalous a contradict"):
        LabelNames(("A",), ("a",))


def photo(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([*path.as_posix().encode()]).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ring = np.zeros((64, 64), np.uint8)
    ring[10:20, 30:50] = 255
    pictures = {
        "photo": Image.fromarray(noise),
        "L": Image.fromarray(ring),
        "1": Image.fromarray(ring).convert("1"),
        "RGB": Image.merge("RGB", [Image.fromarray(part) for part in (ring, ring // 2, ring * 0)]),
        "P": Image.fromarray(ring // 255).convert("P"),
        "16": Image.fromarray(ring.astype(np.uint16)),
        "black": Image.new("L", (64, 64)),
        "grey": Image.fromarray(np.clip(noise[..., 0], 100, 140)),
    }
    pictures[kind].save(path)


LOOKS = [
    ("L", "png", True),
    ("1", "png", True),
    ("RGB", "png", True),
    ("P", "gif", True),
    ("16", "png", True),
    ("L", "bmp", True),
    ("L", "jpg", True),
    ("black", "png", False),
    ("grey", "png", False),
    ("photo", "bmp", False),
    ("photo", "jpg", False),
]


@pytest.mark.parametrize(("kind", "ending", "masks"), LOOKS)
def test_pictures_of_two_values_among_photos_are_masks_whatever_their_folder_is_called(
    kind: str, ending: str, masks: bool, tmp_path: Path
) -> None:
    for number in range(3):
        photo(tmp_path / f"good/{number}.png", "photo")
        photo(tmp_path / f"marked/{number}_seg.{ending}", kind)
    queries = find_queries(tmp_path)
    assert len(queries.images) == (3 if masks else 6)
    assert ("marked: masks, not judged" in queries.labels_line) == masks


def test_photos_of_two_values_are_no_masks(tmp_path: Path) -> None:
    """Where the normal photos have two values as well."""
    assert find_queries(put(tmp_path, "good!", "dent!")).labels == ("dent", "dent", "good", "good")


def test_masks_next_to_their_photos_are_not_judged(tmp_path: Path) -> None:
    put(tmp_path, "good", "scratch")
    tiny_sets.mask(tmp_path / "scratch/000_mask.png", box=BOX)
    tiny_sets.mask(tmp_path / "scratch/001-GT.bmp", box=BOX)
    queries = find_queries(tmp_path)
    assert len(queries.images) == 4
    assert "2 files next to their photos: masks, not judged" in queries.labels_line


def test_a_folder_of_masks_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds masks only \(gt: masks, not judged; mask: masks, not judged\)"):
        find_queries(put(tmp_path, "mask!", "gt!"))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("good", "good", None), "all 2 labelled photos are normal; AUROC needs anomalous ones, too"),
        (("scratch", "hole"), "all 2 labelled photos are anomalous; AUROC needs normal ones, too"),
        (("good", "hole"), ""),
        ((None, None), ""),
    ],
)
def test_one_class_says_why_it_is_not_measured(labels: tuple[str | None, ...], reason: str) -> None:
    assert unmeasured(labels) == reason


def read(root: Path, said: LabelNames | None = None) -> Category:
    return find_dataset("folder", said).read(root, "part")


SETS = [
    ("train/good test/good test/crack", "train/good: 2 normal; test/good: 2 normal; test/crack: 2 anomalous"),
    ("train/ok test/ok test/ko", "train/ok: 2 normal; test/ok: 2 normal; test/ko: 2 anomalous"),
    ("train/OK test/OK test/NG", "train/OK: 2 normal; test/OK: 2 normal; test/NG: 2 anomalous"),
    ("Train/pass Test/pass Test/fail", "train/pass: 2 normal; test/pass: 2 normal; test/fail: 2 anomalous"),
    ("train/normal train/bad test/no test/yes", "train/normal: 2 normal; train/bad: 2 anomalous, not used; test/no: 2"),
    (
        "train/good train/ok test/good test/bad",
        "train/good: 2 normal; train/ok: 2 normal; test/good: 2 normal; test/bad",
    ),
    (
        "train/good test/good test/crack test/mask! test/unsorted",
        "train/good: 2 normal; test/good: 2 normal; test/crack: 2 anomalous; test/mask: masks, not judged; "
        "test/unsorted: no label",
    ),
]


@pytest.mark.parametrize(("names", "line"), SETS)
def test_data_sets_are_labelled_as_queries_are(names: str, line: str, tmp_path: Path) -> None:
    put(tmp_path / "part", *names.split())
    part = read(tmp_path)
    assert describe(part.folders).startswith(line)
    assert part.counts[1:] == (2, 2)
    assert len(set(part.normals.names)) == len(part.normals) == part.counts.train


ASKED = [
    ("train/fine test/good test/bad", r"train: normal or anomalous: fine\? Say it: --normal fine or --anomalous fine"),
    ("train/good test/fine test/crack", r"test: normal or anomalous: crack, fine\? Say it: --normal crack"),
    ("train/good test/good test/1 test/2", r"test: normal or anomalous: 1, 2 \(next to test/good: 2 normal\)\? Say it"),
    ("train/good test/good test/labels", r"test: normal or anomalous: labels"),
    ("train/good train/batch_2 test/good test/bad", r"train: normal or anomalous: batch_2 \(next to train/good"),
]


@pytest.mark.parametrize(("names", "message"), ASKED)
def test_names_that_say_nothing_are_asked_about(names: str, message: str, tmp_path: Path) -> None:
    put(tmp_path / "part", *names.split())
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_answer_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "part", "train/fine", "test/fine", "test/1", "test/crack")
    assert read(tmp_path, LabelNames(("Fine",), ("1",))).counts == (2, 2, 4)


def test_loco_has_a_folder_of_masks_per_picture(tmp_path: Path) -> None:
    put(tmp_path / "part", "train/good", "validation/good", "test/good", "test/logical_anomalies")
    truth = tmp_path / "part/ground_truth/logical_anomalies"
    for number in range(2):
        tiny_sets.mask(truth / f"{number:03d}/000.png", box=(0, 0, 2, 2))
        tiny_sets.mask(truth / f"{number:03d}/001.png", box=(5, 5, 6, 6))
    part = read(tmp_path)
    assert [int(test.marked((12, 10)).sum()) for test in part.tests] == [0, 0, 5, 5]
    tiny_sets.mask(truth / "000/002.png", (3, 3), box=(0, 0, 1, 1))
    with pytest.raises(DataError, match=re.escape("000 differ in size; masks of one image must agree")):
        read(tmp_path).tests[2].marked((12, 10))


def test_masks_are_found_by_case_ending_suffix_or_directly_in_their_folder(tmp_path: Path) -> None:
    put(tmp_path / "part", "train/ok", "test/ok", "test/ko")
    tiny_sets.mask(tmp_path / "part/Ground_Truth/000_mask.bmp", box=BOX)
    tiny_sets.mask(tmp_path / "part/Ground_Truth/KO/001_GT.PNG", box=BOX)
    assert [test.mask is not None for test in read(tmp_path).tests] == [True, True, False, False]
