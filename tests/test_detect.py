"""normalgen detect, personalize and the self-test, as users type them."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import drawn
from PIL import Image, ImageDraw

from normalgen.cli import main
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.images import ImageItem, decode
from normalgen.one_to_normal import OneToNormal
from normalgen.queries import find_queries
from normalgen.references import References
from normalgen.self_test import self_test


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def crossed(seed: int) -> Image.Image:
    image = drawn(seed)
    pen = ImageDraw.Draw(image)
    pen.line((10, 15, 26, 31), "black", 4)
    pen.line((10, 31, 26, 15), "black", 4)
    return image


@pytest.fixture
def here(photos: Path, tmp_path: Path, prior: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`good/` with photos, `mixed/good` and `mixed/cross` to judge, and a finished model in models/good."""
    monkeypatch.chdir(tmp_path)
    for label, make, seeds in (("good", drawn, range(20, 23)), ("cross", crossed, range(30, 32))):
        (tmp_path / "mixed" / label).mkdir(parents=True)
        for seed in seeds:
            make(seed).save(tmp_path / "mixed" / label / f"{seed}.png")
    toy = ["--weights", str(prior), "--size", "32", "--training-steps", "2", "--device", "cpu"]
    assert run("customize", "good", *toy) == 0
    return tmp_path


def detect(*words: str) -> int:
    few = ["--references", "good", "-k", "2", "--rate", "0.1", "--device", "cpu", "--out", "out"]
    return run("detect", "mixed", *few, *words)


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]


def bank_images() -> int:
    return int(json.loads(Path("out/run.json").read_text())["settings"]["bank_images"])


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
    with Image.open("out/maps/cross__30.png.png") as picture:
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


def test_what_was_made_from_other_photos_is_told_of_and_calibrates_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect("-n", "0", "--branches", "p") == 0
    assert "models/good was made from 6 photos, 4 of them not among these references" in capsys.readouterr().err
    assert detect("-n", "0", "--calibrate", "good") == 1
    assert "0 photos that are not used otherwise" in capsys.readouterr().err


def test_a_pool_of_other_settings_than_asked_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-n", "1", "--branches", "n"]
    assert detect(*words) == 0
    assert detect(*words, "--augment", "flips") == 1
    assert "pools/good was made with augment safe, now flips" in capsys.readouterr().err


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
    assert "of parts like the 20 calibration photos, at most a share 0.1" in capsys.readouterr().out
    assert {str(row["verdict"]) for row in rows() if row["label"] == "cross"} == {"anomalous"}
    assert detect("-n", "0", "--branches", "n", "--calibrate", "more", "--rate", "0.01") == 1
    told = capsys.readouterr().err
    assert (
        "20 photos that are not used otherwise cannot support --rate 0.01; give 99 in all, or a --rate of at least"
        in told
    )
    assert detect("-n", "0", "--branches", "n", "--rate", "0.01") == 0
    assert "ranking only: 12 views of left-out references cannot support 0.01" in capsys.readouterr().out
    assert {row["verdict"] for row in rows()} == {""}


def test_references_and_queries_neither_measure_nor_calibrate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in Path("good").iterdir():
        Path("mixed/good", file.name).write_bytes(file.read_bytes())
    Path("mixed/good").rename("mixed/OK")
    assert detect("-n", "0", "--branches", "n") == 0
    shown = capsys.readouterr()
    assert "2 of the labelled photos are references: they are judged, but AUROC is measured without them" in shown.err
    assert "image AUROC" in shown.out
    labels = {str(row["file"]): row["label"] for row in rows()}
    assert labels["OK/20.png"] == "good"
    assert list(labels.values()).count(None) == 2
    assert detect("-n", "0", "--branches", "n", "--calibrate", "mixed/cross") == 1
    assert "--calibrate mixed/cross: 0 photos that are not used otherwise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "foo"], "features must be one of embedded, clip"),
        (["--text", "nofile.safetensors"], "text maps are for the branch text: --branches p,n,text"),
    ],
)
def test_what_cannot_work_is_told_before_a_model_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert detect("--model", "models/new", *words) == 1
    assert message in capsys.readouterr().err
    assert not Path("models/new").exists()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was decoded."""
    counts: Counter[str] = Counter()

    def counted(item: ImageItem) -> Image.Image:
        counts[item.source] += 1
        return decode(item)

    monkeypatch.setattr("normalgen.images.decode", counted)
    return counts


def test_queries_come_in_batches_decoded_once_as_a_detector_wants_them(here: Path, decoded: Counter[str]) -> None:
    Path("mixed/cross/broken.png").write_bytes(b"no picture")
    queries = find_queries(Path("mixed"))
    batches = list(queries.batches(32, 2))
    assert [(len(images), [*errors]) for images, errors in batches] == [(2, []), (1, ["cross/broken.png"]), (2, [])]
    assert set(decoded.values()) == {1}
    rest = queries.without(["cross/broken.png"])
    assert torch.cat([images.pixels(32) for images, _ in batches]).equal(rest.images.pixels(32))
    assert [digest for images, _ in batches for digest in images.hashes()] == rest.images.hashes()
    assert rest.labels == ("cross", "cross", "good", "good", "good")


def test_maps_are_saved_as_they_are(here: Path) -> None:
    assert detect("-n", "0", "--branches", "n", "--save-maps") == 0
    maps = {str(row["file"]): np.load(f"out/maps/{str(row['file']).replace('/', '__')}.npy") for row in rows()}
    assert {(values.dtype, values.shape) for values in maps.values()} == {(np.dtype("float32"), (32, 32))}
    for row in rows():
        assert np.sort(maps[str(row["file"])].ravel())[-10:].mean() == pytest.approx(row["score"], abs=1e-5)


def test_unreadable_queries_are_named_and_the_rest_goes_on(
    here: Path, decoded: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mixed/cross/broken.png").write_bytes(b"no picture")
    assert detect("-n", "0", "--branches", "n") == 1
    assert decoded["mixed/cross/broken.png"] == 1
    assert decoded["mixed/cross/30.png"] == 2
    assert not list(Path("out/maps").glob("*.npy"))
    found = rows()
    assert len(found) == 6
    assert "broken.png cannot be read" in str(found[-1]["error"])
    assert "broken.png cannot be read" in capsys.readouterr().err
    assert "broken.png" in Path("out/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--branches", "text"], "no text side"),
        (["--branches", "x"], "branches must be some of p, n, text"),
        (["--pool", "nowhere"], "nowhere holds no pool"),
        (["--calibrate", "nowhere"], "--calibrate: nowhere does not exist"),
        (["--preset", "sd15"], "models/good was made with preset tiny, now sd15"),
        (["--training-steps", "3"], "models/good was made with training_steps 2, now 3; name another folder"),
        (["--augment", "flips"], "models/good was made with augment safe, now flips; name another folder"),
        (["--features", "wrong"], "features"),
        (
            ["--calibrate", "good", "-k", "6", "-n", "0", "--branches", "n"],
            "0 photos that are not used otherwise cannot support --rate 0.1",
        ),
    ],
)
def test_a_mistake_gets_one_line(
    here: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(*words) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_is_not_there_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    commands = ("generate gone", "generate some --preset gone", "customize gone", "personalize gone --model some")
    more = ("personalize some --model gone", "detect gone --references some", "detect some --references gone")
    code = """
import sys
from normalgen.cli import main
for words in sys.argv[1:]:
    try: main(words.split())
    except SystemExit as end: print(end.code, "torch" in sys.modules, "sklearn" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *commands, *more], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["1 False False"] * 7
    assert all("gone" in line for line in done.stderr.splitlines())


def test_the_choice_of_twins_reaches_the_detector(here: Path) -> None:
    assert detect("-n", "0", "--branches", "n", "--choice", "min_map") == 0
    assert json.loads(Path("out/run.json").read_text())["settings"]["choice"] == "min_map"


def test_a_pool_of_another_category_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "models/good", "-n", "1", "--no-gate", "--strength", "0.1", "--device", "cpu"]
    assert run("generate", "good", *words) == 0
    assert detect("--category", "bolt", "--pool", "pools/good", "--branches", "n") == 1
    assert "the pool is of 'good', the references are of 'bolt'" in capsys.readouterr().err


def test_personalize_writes_twins_and_pictures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed/good/broken.png").write_bytes(b"")
    assert run("personalize", "mixed", "--model", "models/good", "--out", "t", "--device", "cpu") == 1
    with Image.open("t/twin/cross__30.png.png") as twin, Image.open("t/triptych/cross__30.png.png") as picture:
        assert twin.size == (32, 32)
        assert picture.width > 3 * 32
    assert len(list(Path("t/twin").iterdir())) == 5
    assert "broken.png is empty" in capsys.readouterr().err


def test_queries_are_a_file_a_folder_or_labelled_folders(here: Path) -> None:
    assert find_queries(Path("mixed/good/20.png")).labels == (None,)
    assert find_queries(Path("mixed/good")).labels == (None,) * 3
    found = find_queries(Path("mixed"))
    assert found.labelled
    assert sorted(set(found.labels), key=str) == ["cross", "good"]
    with pytest.raises(DataError, match="does not exist"):
        find_queries(Path("nowhere"))
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no images in empty"):
        find_queries(Path("empty"))


def test_the_self_test_tells_drawn_defects_from_good_parts(references: References, tmp_path: Path) -> None:
    detector = OneToNormal(branches=("n",)).fit(references)
    detector.save(tmp_path / "saved")
    found = self_test(detector, references)
    assert found.images == 12
    assert set(found.overall) == {"n", "fused"}
    assert found.overall["fused"] > 0.7
    assert set(found.by_kind) == {"scratch", "crack", "spot", "stain", "chip"}
    assert self_test(detector, references) == self_test(OneToNormal.load(tmp_path / "saved"), references) == found
    assert torch.tensor([*found.by_kind.values()]).max() <= 1


def test_photos_in_hidden_folders_are_no_queries(tmp_path: Path) -> None:
    for folder in ("good", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
        crossed(3).save(tmp_path / folder / "a.png")
    assert find_queries(tmp_path).images.names == ["good/a.png"]
