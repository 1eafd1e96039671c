"""What detect takes folders for, and what it says about it."""

import json
from pathlib import Path

import pytest
from detecting import detect, rows
from PIL import Image

FAST = ("-n", "0", "--branches", "n")


def mask(folder: str) -> None:
    Path("mixed", folder).mkdir()
    for file in Path("mixed/cross").glob("*.png"):
        picture = Image.new("L", (40, 40))
        picture.paste(255, (10, 15, 26, 31))
        picture.save(Path("mixed", folder, file.name))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("note: mixed: ")]


@pytest.mark.parametrize("name", ["mask", "GroundTruth", "cross_gt", "drawn by Eva"])
def test_masks_are_not_judged_and_change_no_score(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(*FAST) == 0
    before = rows()
    capsys.readouterr()
    mask(name)
    assert detect(*FAST) == 0
    assert rows() == before
    shown = capsys.readouterr()
    assert lines(shown.err) == [f"note: mixed: good: 3 normal; cross: 2 anomalous; {name}: masks, not judged"]
    assert "image AUROC 1.000" in shown.out


ONE = [
    ("good", "unsorted", "all 2 labelled photos are anomalous; AUROC needs normal ones, too"),
    ("cross", "misc", "all 3 labelled photos are normal; AUROC needs anomalous ones, too"),
    ("cross", "OK", "all 5 labelled photos are normal; AUROC needs anomalous ones, too"),
]


@pytest.mark.parametrize(("folder", "renamed", "reason"), ONE)
def test_one_class_has_no_auroc_and_says_why(
    here: Path, folder: str, renamed: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mixed", folder).rename(Path("mixed", renamed))
    Path("mixed/cross").exists() and Path("mixed/cross").rename("mixed/ng")
    assert detect(*FAST) == 0
    shown = capsys.readouterr()
    assert f"no AUROC: {reason}" in shown.out
    assert "image AUROC" not in shown.out
    assert len(lines(shown.err)) == 1
    record = json.loads(Path("out/run.json").read_text())
    assert (record["auroc"], record["reasons"]["auroc"]) == (None, reason)
    assert reason in Path("out/report.html").read_text()


def test_unknown_names_are_asked_about_and_the_answer_is_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed/good").rename("mixed/line 1")
    assert detect(*FAST) == 0
    shown = capsys.readouterr()
    assert "AUROC" not in shown.out
    (line,) = lines(shown.err)
    assert "cross: no label, unknown name (--normal NAME or --anomalous NAME says what it is)" in line
    assert {row["label"] for row in rows()} == {None}
    assert detect(*FAST, "--normal", "line 1", "--anomalous", "cross") == 0
    shown = capsys.readouterr()
    assert lines(shown.err) == ["note: mixed: line 1: 3 normal; cross: 2 anomalous"]
    assert "image AUROC 1.000" in shown.out
    assert detect(*FAST, "--normal", "lime 1") == 1
    assert "error: --normal lime 1: mixed has no folder of this name, found cross, line 1" in capsys.readouterr().err


def test_photos_in_one_folder_need_no_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in Path("mixed").glob("*/*.png"):
        file.rename(Path("mixed", file.name))
    assert detect(*FAST) == 0
    assert not lines(capsys.readouterr().err)


def test_the_smallest_visible_defect_is_told_in_source_pixels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(*FAST) == 0
    assert "become invisible" not in capsys.readouterr().err
    Image.open("mixed/good/20.png").resize((2000, 1000)).save("mixed/good/large.png")
    assert detect(*FAST) == 0
    said = (
        "photos are scaled down to 256 px: defects narrower than about 16 of their pixels become invisible; "
        "use --crop, a smaller --tile, or a larger --size"
    )
    assert said in capsys.readouterr().err
