import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_sets
from PIL import Image
from skimage.data import brick

from normalgen.cli import main
from normalgen.data.counts import Counts
from normalgen.data.registry import DATASETS


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["data", *map(str, words)])
    return int(end.value.code or 0)


def row(text: str, *begins: str) -> list[str]:
    """The columns of the line that begins with these, which are left out."""
    (line,) = [line.split() for line in text.splitlines() if line.split()[: len(begins)] == [*begins]]
    return line[len(begins) :]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tiny_sets.brain_mri(tmp_path / "BrainMRI")
    tiny_sets.aitex(tmp_path / "AITEX")
    tiny_sets.mvtec(tmp_path / "mvtec", "screw", "bottle")
    tiny_sets.mvtec(tmp_path / "mine", "hazelnut")
    return tmp_path


def test_list_names_every_set_with_its_licence_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    for dataset in DATASETS.values():
        assert all(word in shown for word in (dataset.name, dataset.licence, dataset.where, dataset.layout))
    assert "elpv       1           1131   377   715" in shown


def test_check_finds_the_sets_and_compares_their_counts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", root) == 0
    shown = capsys.readouterr()
    assert row(shown.out, "mvtec", "screw") == "3 3 2 320 / 41 / 119 0 0 0 0".split()
    assert row(shown.out, "folder", "hazelnut") == "3 3 2 - 0 0 0 0".split()
    assert row(shown.out, "brain-mri")[:4] == ["brain-mri", "6", "2", "8"]
    assert "aitex/aitex: 0100_025_08.png has no mask and is left out" in shown.err


def test_the_folder_may_come_from_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NORMALGEN_DATA", str(root))
    assert run("check", "--dataset", "brain-mri") == 1  # eight images of each are not the whole set
    shown = capsys.readouterr()
    assert row(shown.out, "brain-mri")[0] == "brain-mri"
    assert "screw" not in shown.out


def test_check_counts_copies_by_their_pixels(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    screw = root / "mvtec/screw"
    for copy, of in (("train/good/001", "train/good/000"), ("test/good/000", "train/good/000")):
        (screw / f"{copy}.png").write_bytes((screw / f"{of}.png").read_bytes() + b"other bytes, same pixels")
    (screw / "test/scratch/000.png").write_bytes((screw / "test/good/002.png").read_bytes())
    assert run("check", root) == 0
    shown = capsys.readouterr()
    assert row(shown.out, "mvtec", "screw")[-4:] == ["0", "1", "1", "1"]
    assert "copy across: test image test/good/000.png is training image 000.png" in shown.err
    assert "copy with the other label: test/scratch/000.png is test/good/002.png" in shown.err


def test_check_finds_training_images_saved_again_among_test_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train/good", "test/good"):
        (tmp_path / "mine/nut" / part).mkdir(parents=True)
    for number in range(3):
        rows, columns = (256 * (number // 2), 256 * (number % 2))
        photo = Image.fromarray(brick()[rows : rows + 250, columns : columns + 250])
        photo.save(tmp_path / f"mine/nut/train/good/{number}.png")
        if number:
            photo.crop((5, 2, 244, 243)).save(tmp_path / f"mine/nut/test/good/{number}.jpg", quality=85)
    assert run("check", tmp_path / "mine", "--dataset", "folder") == 0
    shown = capsys.readouterr()
    assert row(shown.out, "folder", "nut")[-1] == "2"
    assert "copy across: test image test/good/1.jpg is training image 1.png" in shown.err


def test_check_names_files_that_cannot_be_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "mvtec/screw/train/good/001.png").write_bytes(b"")
    tiny_sets.mask(root / "mvtec/screw/ground_truth/scratch/001_mask.png", (3, 3))
    assert run("check", root / "mvtec") == 0
    shown = capsys.readouterr()
    assert row(shown.out, "mvtec", "screw")[-4] == "2"
    assert "001.png is empty" in shown.err
    assert "001_mask.png has (3, 3) pixels and its image (12, 10)" in shown.err


def test_masks_that_mark_nothing_do_not_pass(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_sets.mask(root / "mine/hazelnut/ground_truth/scratch/001_mask.png")
    assert run("check", root / "mine", "--dataset", "folder") == 1
    shown = capsys.readouterr()
    assert row(shown.out, "folder", "hazelnut")[-4] == "1"
    assert "001_mask.png marks nothing, but its image is anomalous: scratch" in shown.err
    assert "folder/hazelnut: train/good: 3 normal; test/good: 3 normal; test/scratch: 2 anomalous" in shown.err


def test_names_that_say_nothing_are_asked_about_and_answered(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "mine/hazelnut/test/good").rename(root / "mine/hazelnut/test/fine")
    assert run("check", root / "mine", "--dataset", "folder") == 1
    assert "normal or anomalous: fine, scratch? Say it: --normal fine" in capsys.readouterr().err
    words = ["--dataset", "folder", "--normal", "fine"]
    assert run("check", root / "mine", *words) == 0
    assert run("split", root / "mine", *words, "--out", root / "parts.json") == 0
    parts = json.loads((root / "parts.json").read_text())["categories"]["hazelnut"]
    assert parts["good"] == [f"test/fine/{number:03d}.png" for number in range(3)]
    assert run("check", root / "mine", *words, "--anomalous", "dent") == 1
    assert "--anomalous dent: --dataset folder has no folder of this name" in capsys.readouterr().err
    assert run("check", root, "--dataset", "brain-mri", "--normal", "no") == 1
    assert "published sets have fixed names" in capsys.readouterr().err


def test_half_a_set_is_marked_and_an_error_only_if_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "BrainMRI/yes").rename(root / "elsewhere")
    assert run("check", root) == 0
    shown = capsys.readouterr()
    assert row(shown.out, "brain-mri", "brain-mri")[3] == "incomplete"
    assert "must hold the folders no and yes, found no" in shown.err
    assert run("check", root, "--dataset", "brain-mri") == 1
    assert "error: brain-mri is not complete; see above" in capsys.readouterr().err


def test_missing_categories_and_unreadable_files_are_not_a_whole_set(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check", root, "--dataset", "mvtec") == 1
    shown = capsys.readouterr()
    assert "mvtec: 13 of 15 missing: cable, capsule, carpet" in shown.err
    assert "error: mvtec is not complete; see above" in shown.err
    brain = {"brain-mri": Counts(6, 2, 8)}
    monkeypatch.setitem(DATASETS, "brain-mri", replace(DATASETS["brain-mri"], published=brain))
    assert run("check", root, "--dataset", "brain-mri") == 0
    (root / "BrainMRI/yes/Y0.JPG").write_bytes(b"")
    assert run("check", root, "--dataset", "brain-mri") == 1


def test_a_set_without_a_category_cannot_be_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv/1cls.csv").write_text("object,split,label,image,mask\n")
    assert run("check", tmp_path, "--dataset", "visa") == 1
    assert "visa: 12 of 12 missing: candle" in capsys.readouterr().err
    assert run("split", tmp_path, "--dataset", "visa", "--out", tmp_path / "a.json") == 1
    assert "has no category of VisA" in capsys.readouterr().err


def test_a_set_that_is_asked_for_and_missing_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", root, "--dataset", "visa") == 1
    assert "does not hold VisA" in capsys.readouterr().err
    assert run("check", root / "gone") == 1
    assert "does not exist" in capsys.readouterr().err
    assert run("check") == 1
    assert "name the folder to check" in capsys.readouterr().err


def test_a_folder_without_data_sets_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", tmp_path) == 0
    assert f"no data set under {tmp_path}" in capsys.readouterr().out


def test_split_writes_the_names_and_never_twice(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "split.json"
    assert run("split", root, "--dataset", "brain-mri", "--out", file) == 0
    held = json.loads(file.read_text())
    parts = held["categories"]["brain-mri"]
    assert [len(parts[part]) for part in ("train", "good", "anomalous")] == [6, 2, 8]
    assert sorted(parts["train"] + parts["good"]) == [f"{number} no.jpg" for number in range(8)]
    assert run("split", root, "--dataset", "brain-mri", "--out", file) == 1
    assert "already exists" in capsys.readouterr().err


def test_split_of_elpv_needs_no_folder(tmp_path: Path) -> None:
    assert run("split", "--dataset", "elpv", "--out", tmp_path / "elpv.json") == 0
    parts = json.loads((tmp_path / "elpv.json").read_text())["categories"]["elpv"]
    assert {name: len(names) for name, names in parts.items()} == {"train": 1131, "good": 377, "anomalous": 715}
