"""normalgen screen, generate --unlabeled and detect --unlabeled as users type them."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import drawn
from detecting import crossed, run
from PIL import Image

import normalgen as ng
from normalgen.features.open_features import open_features
from normalgen.pool.dataset import Pool

SCREEN = ["screen", "line", "--references", "good", "-k", "2", "--device", "cpu"]
FEW = ["-n", "10", "-k", "2", "--size", "64", "--plain", "1", "--no-gate", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _small_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screenings look at 64 pixels."""
    monkeypatch.setattr(
        "normalgen.features.open_features.open_features", lambda name, **given: open_features(name, size=64, **given)
    )


@pytest.fixture
def line(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven good photos and one with a cross, next to `good`."""
    monkeypatch.chdir(photos.parent)
    folder = photos.parent / "line"
    folder.mkdir()
    for seed in range(100, 107):
        drawn(seed).save(folder / f"{seed}.png")
    crossed(200).save(folder / "cross.png")
    return folder


def table() -> dict[str, dict[str, str]]:
    with Path("screenings/good/screening.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_a_screening_is_a_page_and_a_table(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SCREEN) == 0
    said = capsys.readouterr().out
    rows = table()
    assert next(iter(rows)) == "cross.png"
    assert rows["cross.png"]["verdict"] != "kept"
    assert float(rows["cross.png"]["score"]) > 1.5
    kept = [name for name, row in rows.items() if row["verdict"] == "kept"]
    assert f"{len(kept)} of 8 photos are kept, {8 - len(kept)} left out" in said
    assert "more than half of them are good" in said
    lines = [json.loads(text) for text in Path("screenings/good/screening.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in lines] == [row["verdict"] for row in rows.values()]
    assert "cross.png" in Path("screenings/good/report.html").read_text()


def test_what_a_screening_found_is_read_again_until_a_photo_changes(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SCREEN) == 0
    first, before = capsys.readouterr().out, Path("screenings/good/report.html").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr("normalgen.quality.unlabeled.usable", None)
        assert run(*SCREEN) == 0
        assert capsys.readouterr().out == first
        assert Path("screenings/good/report.html").stat().st_mtime_ns == before
    drawn(300).save(line / "100.png")
    assert run(*SCREEN) == 0
    assert Path("screenings/good/report.html").stat().st_mtime_ns > before
    Path("screenings/good/screening.csv").unlink()
    assert run(*SCREEN) == 0
    assert len(table()) == 8


def test_references_unreadable_photos_and_copies_are_passed_over(
    line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("good/0.png", line / "reference.png")
    drawn(100).save(line / "z.bmp")
    (line / "broken.png").write_bytes(b"no photo")
    assert run("screen", "line", "--references", "good", "--device", "cpu") == 0
    rows = table()
    assert "it is a reference" in rows["reference.png"]["reason"]
    assert "it is a copy of 100.png" in rows["z.bmp"]["reason"]
    assert "broken.png cannot be read" in rows["broken.png"]["reason"]
    assert {rows[name]["verdict"] for name in ("reference.png", "z.bmp", "broken.png")} == {""}
    said = capsys.readouterr().out
    assert "3 photos are passed over" in said
    assert "of 8 photos are kept" in said


def test_sub_folders_are_read_but_are_no_labels(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SCREEN, "--out", "flat") == 0
    (line / "scratch").mkdir()
    (line / "good").mkdir()
    for path in sorted(line.glob("10*.png")):
        path.rename(line / ("scratch" if path.stem < "104" else "good") / path.name)
    capsys.readouterr()
    assert run(*SCREEN) == 0
    assert "line: sub-folders are read, and their names are not used as labels" in capsys.readouterr().err
    with Path("flat/screening.csv").open(newline="") as file:
        flat = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
    assert {Path(name).name: row["verdict"] for name, row in table().items()} == flat


@pytest.mark.parametrize("command", [SCREEN, ["generate", "good", "--unlabeled", "line", *FEW]], ids=lambda c: c[0])
def test_another_part_is_refused_with_the_page_every_time(
    command: list[str], line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(line)
    line.mkdir()
    for seed in range(8):
        Image.effect_mandelbrot((40, 40), (-2, -1.5, 1, 1.5), 8 + seed).convert("RGB").rotate(45 * seed).save(
            line / f"{seed}.png"
        )
    page = Path("pools/good.normalgen/screening" if command[0] == "generate" else "screenings/good") / "report.html"
    for _ in range(2):
        assert run(*command) == 1
        error = capsys.readouterr().err
        assert "do not show what the references show" in error
        assert str(page) in error.replace("\n", "")
        assert page.is_file()
    assert not Path("pools/good").exists()


def test_photos_that_are_all_references_are_refused(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(line)
    shutil.copytree("good", line)
    assert run("screen", "line", "--references", "good", "--device", "cpu") == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "none of 6 unlabeled photos can be used (it is a reference" in error
    assert not Path("screenings").exists()


def test_one_photo_is_screened_and_says_little(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("screen", "line/100.png", *SCREEN[2:]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 photos are kept" in said
    assert "With 1 photos the screening says little" in said


def test_the_share_to_leave_out_can_be_set(line: Path) -> None:
    assert run(*SCREEN, "--contamination", "0.25") == 0
    verdicts = [row["verdict"] for row in table().values()]
    assert verdicts.count("kept") == 6


def test_a_pool_gets_the_kept_photos_and_the_same_command_makes_nothing_again(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "good", "--unlabeled", "line", *FEW]
    assert run(*words) == 0
    shown = capsys.readouterr()
    rows = Pool.load(Path("pools/good")).rows
    kept = [row["reference"] for row in rows if row["mode"] == "photo"]
    assert "cross.png" not in kept
    assert len(kept) >= 4
    assert {row["mode"] for row in rows[len(kept) :]} == {"augmented"}
    assert f"{len(kept)} screened photos" in shown.out
    assert f"{len(kept)} of 8 photos are kept" in " ".join(shown.err.split())
    assert Path("pools/good.normalgen/screening/report.html").is_file()
    monkeypatch.setattr("normalgen.quality.unlabeled.usable", None)
    assert run(*words) == 0
    assert Pool.load(Path("pools/good")).rows == rows


def test_a_refused_pool_keeps_its_screening(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "good", "--unlabeled", "line", *FEW) == 0
    record = Path("pools/good.normalgen/screening/run.json")
    before = record.read_bytes()
    (line / "100.png").unlink()
    assert run("generate", "good", "--unlabeled", "line", *FEW) == 1
    assert "made from another screening: other unlabeled photos" in capsys.readouterr().err
    assert record.read_bytes() == before


def test_the_gates_features_screen_too(line: Path) -> None:
    assert run("generate", "good", "--unlabeled", "line", *FEW, "--gate-features", "cnn") == 0
    record = json.loads(Path("pools/good.normalgen/screening/run.json").read_text())
    assert record["settings"]["features"] == "cnn"


def test_a_small_pool_says_how_many_kept_photos_it_leaves_out(line: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run("generate", "good", "--unlabeled", "line", *FEW[2:], "-n", "2") == 0
    assert "kept photos join the pool, those that add most; a larger -n takes more" in caplog.text


def test_a_pool_takes_over_what_screen_found(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*SCREEN) == 0
    monkeypatch.setattr("normalgen.quality.unlabeled.usable", None)  # nothing is read and compared again
    assert run("generate", "good", "--unlabeled", "line", *FEW) == 0
    for name in ("screening.csv", "report.html"):
        copied = Path("pools/good.normalgen/screening") / name
        assert copied.read_bytes() == (Path("screenings/good") / name).read_bytes()
    assert "photo" in {row["mode"] for row in Pool.load(Path("pools/good")).rows}


def test_a_pool_with_photos_is_not_continued_without_them(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "good", "--unlabeled", "line", *FEW) == 0
    rows = Pool.load(Path("pools/good")).rows
    capsys.readouterr()
    assert run("generate", "good", *FEW[2:], "-n", "20") == 1
    assert "unlabeled photos; name their folder with --unlabeled" in " ".join(capsys.readouterr().err.split())
    assert Pool.load(Path("pools/good")).rows == rows


def test_photos_that_are_judged_or_calibrate_leave_the_bank(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, names in (("calibration", ("100", "101")), ("queries", ("102",))):
        Path(folder).mkdir()
        for name in names:
            shutil.copy(line / f"{name}.png", folder)
    crossed(300).save("queries/new.png")
    assert run("generate", "good", "--unlabeled", "line", *FEW) == 0
    rows = Pool.load(Path("pools/good")).rows
    gone = [row for row in rows if row["reference"] in ("100.png", "101.png", "102.png") and row["mode"] == "photo"]
    assert len(gone) >= 2
    sources = {row["reference_sha256"] for row in gone}
    gone = [row for row in rows if row["reference_sha256"] in sources]
    words = ["--references", "good", "-k", "2", "-n", "10", "--branches", "n", "--size", "64", "--device", "cpu"]
    capsys.readouterr()
    for _ in range(2):
        assert run("detect", "queries", *words, "--calibrate", "calibration", "--rate", "0.4") == 0
        said = " ".join(capsys.readouterr().err.split())
        assert f"{len(gone)} of {len(rows)} images of the pool are photos to judge or to calibrate with" in said
        assert "photos in calibration are" not in said
        settings = json.loads(Path("detections/good/run.json").read_text())["settings"]
        assert settings["bank_images"] == 2 + len(rows) - len(gone)


def test_detect_adds_unlabeled_photos_to_the_pool_that_it_makes(line: Path, caplog: pytest.LogCaptureFixture) -> None:
    references = ng.References.from_folder("good")
    settings = {"size": 64, "pool": {"gate": False, "plain": 1.0}}
    options: dict[str, Any] = {"n": 9, "settings": settings, "device": "cpu", "contamination": 0.0}
    for times in (1, 0):
        caplog.clear()
        detector = ng.OneToNormal(features="cnn", features_size=64, branches=("n",))
        found = ng.detect("line/cross.png", references, detector=detector, unlabeled="line", **options)
        assert caplog.text.count("first results, from the references alone") == times
        assert "1 of 9 images of the pool are photos to judge" in caplog.text
        assert found.detector.settings()["bank_images"] == 6 + 8
    assert [row["mode"] for row in Pool.load(Path("pools/good")).rows].count("photo") == 8
