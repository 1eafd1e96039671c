"""normalgen evaluate, as typed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import drawn
from PIL import Image

from normalgen.cli import main
from normalgen.evaluation.request import ask
from normalgen.settings.presets import preset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn categories in MVTec layout: of the same parts, one with blots and one with stripes."""
    root = tmp_path_factory.mktemp("data")
    for category, box in (("disc", (8, 20, 16, 28)), ("ring", (0, 12, 40, 15))):
        for i in range(4):
            write(root / category / "train" / "good" / f"{i}.png", drawn(i))
            write(root / category / "test" / "good" / f"{i}.png", drawn(50 + i))
            spoilt, mask = drawn(90 + i), Image.new("L", (40, 40))
            for picture, colour in ((spoilt, "white"), (mask, 255)):
                picture.paste(colour, box)
            write(root / category / "test" / "blot" / f"{i}.png", spoilt)
            write(root / category / "ground_truth" / "blot" / f"{i}_mask.png", mask)
    return root


def write(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *map(str, words)])
    return int(ended.value.code or 0)


def usual(root: Path, prior: Path, out: Path) -> list[str | Path]:
    some: list[str | Path] = [
        "--dataset",
        "folder",
        "--data",
        root,
        "--shots",
        "2",
        "--seeds",
        "1",
        "-n",
        "2",
        "--training-steps",
        "1",
    ]
    return [*some, "--weights", prior, "--device", "cpu", "--out", out]


def test_cells_are_measured_and_named_and_a_second_run_finds_them(
    root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*usual(root, prior, tmp_path / "out"), "--categories", "disc", "--arms", "none,augmented"]
    words += ["--augment", "flips"]
    assert run(*words, "--detectors", "memory") == 0
    said = capsys.readouterr().out
    assert "2 cells in 1 setups" in said
    cells = [json.loads(path.read_text()) for path in (tmp_path / "out" / "cells").rglob("*.json")]
    assert {cell["settings"]["augment"] for cell in cells} == {"flips"}
    assert "disc 2 shots seed 0  memory augmented  AUROC" in said
    assert run(*words, "--detectors", "memory") == 0
    assert "2 done; about 0 minutes" in capsys.readouterr().out


def test_a_dry_run_counts_and_writes_nothing(
    root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*usual(root, prior, tmp_path / "out"), "--study", "pool-gain", "--seeds", "3", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "72 cells in 6 setups" in said
    assert re.search(r"about \d+ MB on disk", said)
    assert not (tmp_path / "out").exists()


SPOILT = {
    "they must agree": Image.new("L", (40, 41), 255),
    "marks nothing": Image.new("L", (40, 40)),
    "has no mask": None,
}


@pytest.mark.parametrize("reason", SPOILT)
def test_masks_are_checked_by_a_dry_run_and_images_are_measured_all_the_same(
    reason: str, root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, tmp_path / "data")
    file, mask = tmp_path / "data/disc/ground_truth/blot/2_mask.png", SPOILT[reason]
    file.unlink() if mask is None else mask.save(file)
    words = usual(tmp_path / "data", prior, tmp_path / "out")
    words += ["--categories", "disc", "--arms", "none", "--detectors", "memory"]
    assert run(*words, "--dry-run") == 0
    told = capsys.readouterr().err
    assert "data/disc: train/good: 4 normal; test/good: 4 normal; test/blot: 4 anomalous\n" in told
    (line,) = [line for line in told.splitlines() if "1 mask cannot be used, so pixels are not measured" in line]
    assert reason in line
    assert not (tmp_path / "out").exists()
    assert run(*words) == 0
    (cell,) = [json.loads(path.read_text()) for path in (tmp_path / "out" / "cells").rglob("*.json")]
    assert cell["metrics"]["image_auroc"] > 0.9
    assert cell["metrics"]["pixel_auroc"] is None
    assert reason in cell["reasons"]["pixel_auroc"]


def test_other_names_for_good_and_bad_are_read_and_unknown_ones_asked_about(
    root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, tmp_path / "data")
    words = [*usual(tmp_path / "data", prior, tmp_path / "out"), "--dry-run"]
    for old, new in (("train/good", "train/OK"), ("test/good", "test/OK"), ("test/blot", "test/NG")):
        (tmp_path / "data/disc" / old).rename(tmp_path / "data/disc" / new)
    assert run(*words, "--categories", "disc") == 0
    assert "data/disc: train/OK: 4 normal; test/OK: 4 normal; test/NG: 4 anomalous\n" in capsys.readouterr().err
    (tmp_path / "data/disc/test/OK").rename(tmp_path / "data/disc/test/spring")
    assert run(*words, "--categories", "disc") == 1
    assert "test: normal or anomalous: spring (next to test/NG: 4 anomalous)?" in capsys.readouterr().err
    assert run(*words, "--categories", "disc", "--normal", "spring") == 0
    assert run(*words, "--normal", "autumn") == 1
    assert "error: " in capsys.readouterr().err


def test_a_small_defect_on_a_large_photo_is_told_of(
    root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, tmp_path / "data")
    photo, mask = Image.new("RGB", (1600, 1600)), Image.new("L", (1600, 1600))
    mask.paste(255, (700, 700, 703, 703))
    photo.save(tmp_path / "data/disc/test/blot/0.png")
    mask.save(tmp_path / "data/disc/ground_truth/blot/0_mask.png")
    assert run(*usual(tmp_path / "data", prior, tmp_path / "out"), "--categories", "disc", "--dry-run") == 0
    told = capsys.readouterr().err
    assert "photos are scaled down to 256 px: defects narrower than about 13 of their pixels become invisible" in told
    assert "1 of 4 marked regions cover no pixel by half at 256 px; each keeps the pixels that it covers most" in told


def test_fewer_test_images_as_asked_are_no_missing_ones(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "elpv-mono", "--tier", "smoke", "--dry-run", "--device", "cpu"]
    pytest.importorskip("elpv_dataset")
    assert run(*words) == 0
    told = capsys.readouterr().err
    assert "test images per category are measured (--tests 0 for all)" in told
    assert "whole set" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shots", "99"], "disc has 4 normal images to choose from, too few for 99 shots; use smaller --shots"),
        (["--arms", "generatd"], "no arm is called 'generatd'"),
        (["--detectors", "patchcor"], "no detector is called 'patchcor'"),
        (["--study", "colour"], "no study is called 'colour'; choose from pool-gain"),
        (["--tier", "huge"], "no tier is called 'huge'; choose from smoke, core, paper"),
        (["--shots", "two"], "--shots must be numbers"),
        (["--categories", "screw"], "no category 'screw' in folder"),
    ],
)
def test_a_wrong_word_is_told_of_at_once(
    words: list[str], message: str, root: Path, prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*usual(root, prior, tmp_path / "out"), *words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_shots_that_are_asked_for_twice_are_measured_once(root: Path) -> None:
    asked = [ask("folder", root, preset("tiny"), shots=shots).shots for shots in ("2,2", "4,2,4")]
    assert asked == [(2,), (4, 2)]


@pytest.mark.slow
def test_jobs_share_the_cells_and_a_killed_run_goes_on(root: Path, prior: Path, tmp_path: Path) -> None:
    words = [*map(str, usual(root, prior, tmp_path / "out")), "--detectors", "memory", "--arms", "none,generated"]
    command = [sys.executable, "-m", "normalgen", "evaluate", *words]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert any("AUROC" in line for line in killed.stdout)
    killed.kill()
    killed.wait()
    done = subprocess.run([*command, "--jobs", "2"], capture_output=True, text=True, check=True)
    assert "job 1 |" in done.stderr
    rows = [json.loads(path.read_text()) for path in (tmp_path / "out" / "cells").rglob("*.json")]
    assert len({tuple(row["cell"].values()) for row in rows}) == len(rows) == 4
