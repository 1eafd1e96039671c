"""normalgen detect, personalize and the self-test, as users type them."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import drawn
from detecting import bank_images, crossed, detect, rows, run
from normalgen.baselines.memory import PatchMemory
from PIL import Image

from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.self_test import self_test
from normalgen.diffusion.model import NormalModel
from normalgen.references import References


def test_two_folders_become_a_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect("-n", "0") == 0
    shown = capsys.readouterr().out
    assert "image AUROC 1.000" in shown
    assert "branches p,n, embedded features, calibrated fusion, bank of 2 images" in shown
    assert "approximate: anomalous above" in shown
    found = rows()
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5]
    assert {row["label"] for row in found[:2]} == {"cross"}
    assert set(found[0]["scores"]) == {"p", "n"}  # type: ignore[call-overload]
    table = list(csv.DictReader(Path("out/results.csv").read_text().splitlines()))
    assert [row["file"] for row in table] == [row["file"] for row in found]
    with Image.open("out/maps/cross__30.png") as picture:
        assert picture.size == (40, 40)
    assert "cross/30.png" in Path("out/report.html").read_text()
    settings = json.loads(Path("out/run.json").read_text())["settings"]
    assert settings["model"] == NormalModel.load(Path("models/good")).digest


def test_a_missing_pool_is_made_on_the_way_and_taken_up_later(here: Path) -> None:
    words = ["-n", "2", "--branches", "n"]
    assert detect(*words) == 0
    assert bank_images() == 4
    before = Path("pools/good/metadata.jsonl").stat().st_mtime_ns
    assert detect(*words) == 0
    assert Path("pools/good/metadata.jsonl").stat().st_mtime_ns == before
    assert detect(*words, "-n", "0") == 0
    assert bank_images() == 2


def test_a_pool_that_was_left_unfinished_is_gone_on_with(here: Path) -> None:
    assert detect("-n", "2", "--branches", "n") == 0
    assert detect("-n", "3", "--branches", "n") == 0
    assert bank_images() == 5


def test_a_report_shows_no_twins_of_an_earlier_run(here: Path) -> None:
    shown = []
    for branches in ("p,n", "n"):
        assert detect("-n", "0", "--branches", branches) == 0
        shown.append(Path("out/report.html").read_text().count("data:image"))
    assert shown[0] > shown[1]


def test_more_good_photos_calibrate_the_verdicts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    for seed in range(50, 70):
        drawn(seed).save(Path("more") / f"{seed}.png")
    assert detect("-n", "0", "--branches", "n", "--calibrate", "more") == 0
    assert "at most a share 0.1 of parts like the 20 calibration photos" in capsys.readouterr().out
    assert {str(row["verdict"]) for row in rows() if row["label"] == "cross"} == {"anomalous"}
    assert detect("-n", "0", "--branches", "n", "--calibrate", "more", "--rate", "0.01") == 1
    told = capsys.readouterr().err
    assert (
        "--rate 0.01 needs at least 99 photos that are not used elsewhere, got 20; add photos, use a --rate of at least"
        in told
    )
    assert detect("-n", "0", "--branches", "n", "--rate", "0.01") == 0
    assert "ranking only: 12 views of left-out references cannot support 0.01" in capsys.readouterr().out
    assert {row["verdict"] for row in rows()} == {""}


def test_maps_are_saved_as_they_are(here: Path) -> None:
    assert detect("-n", "0", "--branches", "n", "--save-maps") == 0
    maps = {
        str(row["file"]): np.load(f"out/maps/{str(row['file']).replace('/', '__').removesuffix('.png')}.npy")
        for row in rows()
    }
    assert {(values.dtype, values.shape) for values in maps.values()} == {(np.dtype("float32"), (32, 32))}
    for row in rows():
        assert np.sort(maps[str(row["file"])].ravel())[-10:].mean() == pytest.approx(row["score"], abs=1e-5)


def test_unreadable_queries_are_named_and_the_rest_goes_on(
    here: Path, decoded: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mixed/cross/broken.png").write_bytes(b"no picture")
    assert detect("-n", "0", "--branches", "n") == 1
    assert decoded["mixed/cross/broken.png"] == 1
    assert decoded["mixed/cross/30.png"] == 1
    assert not list(Path("out/maps").glob("*.npy"))
    found = rows()
    assert len(found) == 6
    assert "broken.png cannot be read" in str(found[-1]["error"])
    assert "broken.png cannot be read" in capsys.readouterr().err
    assert "broken.png" in Path("out/report.html").read_text()


def test_each_query_is_read_and_decoded_once(here: Path, reads: Counter[str], decoded: Counter[str]) -> None:
    words = ["--references", "good", "-k", "2", "-n", "0", "--device", "cpu", "--out", "out"]
    assert run("detect", "mixed", *words) == 0
    queries = {str(path) for path in Path("mixed").rglob("*.png")}
    assert len(queries) == 5
    assert {path: (reads[path], decoded[path]) for path in queries} == dict.fromkeys(queries, (1, 1))
    assert {path for path in reads if path.startswith("out")} <= {"out/run.json"}
    reads.clear()
    decoded.clear()
    assert run("personalize", "mixed", "--model", "models/good", "--out", "t", "--device", "cpu") == 0
    assert {path: (reads[path], decoded[path]) for path in queries} == dict.fromkeys(queries, (1, 1))


def test_references_among_photos_without_labels_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("detect", "good", "--references", "good", "-n", "0", "--branches", "n", "--out", "out") == 0
    assert "of the photos are references" in capsys.readouterr().err


def test_labels_of_references_do_not_count_though_they_are_judged(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mixed/good/reference.png").write_bytes(Path("good/0.png").read_bytes())
    assert run("detect", "mixed", "--references", "good", "-n", "0", "--branches", "n", "--out", "out") == 0
    assert "1 of the photos are references or calibration photos, or copies of them" in capsys.readouterr().err
    assert {str(row["file"]): row["label"] for row in rows()}["good/reference.png"] is None
    assert len(rows()) == 6


def test_photos_that_differ_in_their_ending_alone_have_pictures_of_their_own(here: Path) -> None:
    crossed(40).save("mixed/cross/30.jpg")
    assert detect("-n", "0") == 0
    for kind in ("maps", "twins"):
        found = sorted(path.name for path in Path("out", kind).iterdir())
        assert [name.partition("-")[0] for name in found[:2]] == ["cross__30", "cross__30"]
        assert len(found) == 6
    assert {str(row["file"]) for row in rows()} >= {"cross/30.png", "cross/30.jpg"}


def test_maps_over_large_photos_are_at_most_2048_pixels_wide(here: Path) -> None:
    drawn(50).resize((3000, 1500)).save("mixed/good/large.png")
    assert detect("-n", "0", "--branches", "n") == 0
    with Image.open("out/maps/good__large.png") as picture:
        assert picture.size == (2048, 1024)


def test_the_choice_of_twins_reaches_the_detector(here: Path) -> None:
    assert detect("-n", "0", "--branches", "n", "--choice", "min_map") == 0
    assert json.loads(Path("out/run.json").read_text())["settings"]["choice"] == "min_map"


def test_personalize_writes_twins_and_pictures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed/good/broken.png").write_bytes(b"")
    assert run("personalize", "mixed", "--model", "models/good", "--out", "t", "--device", "cpu") == 1
    with Image.open("t/twin/cross__30.png") as twin, Image.open("t/triptych/cross__30.png") as picture:
        assert twin.size == (32, 32)
        assert picture.width > 3 * 32
    assert len(list(Path("t/twin").iterdir())) == 5
    assert "broken.png is empty" in capsys.readouterr().err


def test_a_detector_by_name_needs_no_model_and_is_saved_loaded_and_tested(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree("models")
    fits = 0
    learn = PatchMemory._learn

    def counted(*given: Any) -> Any:
        nonlocal fits
        fits += 1
        return learn(*given)

    monkeypatch.setattr(PatchMemory, "_learn", counted)
    words = ["-n", "0", "--detector", "memory[grid=8]", "--features", "cnn", "--save", "saved", "--self-test"]
    assert detect(*words) == 0
    shown = capsys.readouterr().out
    assert "memory, cnn features, grid 8, learned from 2 images" in shown
    assert "ranking only: 2 views of left-out references" in shown
    assert "AUROC by branch: fused" in shown
    first = rows()
    assert {row["label"] for row in first[:2]} == {"cross"}
    settings = json.loads(Path("out/run.json").read_text())["settings"]
    assert (settings["detector"], settings["grid"], settings["bank_images"]) == ("memory", 8, 2)
    assert detect(*words) == 0  # learns nothing again
    assert run("detect", "mixed", "--detector", "saved", "--rate", "0.1", "--out", "out", "--device", "cpu") == 0
    assert rows() == first
    assert fits == 1
    assert not Path("models").exists()


def test_the_self_test_tells_drawn_defects_from_good_parts(references: References, tmp_path: Path) -> None:
    detector = OneToNormal(branches=("n",)).fit(references)
    detector.save(tmp_path / "saved")
    found = self_test(detector, references)
    assert found.images == 12
    assert set(found.overall) == {"n", "fused"}
    assert found.overall["fused"] > 0.7
    assert set(found.by_kind) == {"scratch", "crack", "spot", "stain", "chip"}
    assert self_test(OneToNormal.load(tmp_path / "saved"), references) == found
    assert torch.tensor([*found.by_kind.values()]).max() <= 1
