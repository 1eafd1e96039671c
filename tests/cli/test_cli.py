import json
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from PIL import Image

from normalgen.cli import main
from normalgen.diffusion.model import NormalModel
from normalgen.errors import PresetError
from normalgen.io.progress import silent
from normalgen.pipeline.preparation import Preparation
from normalgen.references import References
from normalgen.settings.presets import change, preset


@pytest.fixture
def quick(prior: Path) -> list[str]:
    train = ["--weights", str(prior), "--size", "32", "--training-steps", "2", "--device", "cpu"]
    return [*train, "--sampling-steps", "10", "--strength", "0.1", "--no-gate", "--plain", "0"]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_generate_goes_from_a_folder_to_a_data_set(
    photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "good", "-n", "5", *quick) == 0
    shown = capsys.readouterr()
    assert "5 normal images of 'good'" in shown.out
    assert len(datasets.load_dataset("pools/good", split="train")) == 5
    with Image.open("pools/good.normalgen/contact_sheet.png") as sheet:
        assert sheet.width > 1000
    assert "customize 2/2" in shown.err
    assert "generate 5/5" in shown.err


def test_generate_again_with_a_larger_n_only_adds(photos: Path, quick: list[str]) -> None:
    run("generate", "good", "-n", "2", *quick)
    before = Path("pools/good/images/00000.png").stat().st_mtime_ns
    assert run("generate", "good", "-n", "3", *quick) == 0
    assert Path("pools/good/images/00000.png").stat().st_mtime_ns == before
    assert len(list(Path("pools/good/images").iterdir())) == 3


def test_customize_and_generate_with_its_model(photos: Path, quick: list[str]) -> None:
    assert run("customize", "good", "-k", "2", "--out", "m", *quick[:8]) == 0
    assert (
        run("generate", "good", "--manifest", "m/references.json", "--model", "m", "-n", "1", "--out", "p", "--no-gate")
        == 0
    )
    with Image.open("p/images/00000.png") as image:
        assert image.size == (32, 32)


def test_prompts_have_the_noun_that_the_model_draws(
    photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("customize", "good", "--object", "bracket", "--out", "m", *quick[:8]) == 0
    made = ["generate", "good", "--model", "m", "-n", "1", *quick]
    assert run(*made) == 0
    assert run(*made, "--object", "bracket") == 0
    capsys.readouterr()
    assert run(*made, "--object", "nut", "--out", "other") == 1
    assert "the model was customized with --object 'bracket', now 'nut'; leave --object out" in capsys.readouterr().err
    assert not Path("other").exists()
    assert '"prompt": "a photo of normal bracket ' in Path("pools/good/metadata.jsonl").read_text()
    assert json.loads(Path("pools/good.normalgen/run.json").read_text())["settings"]["object"] == "bracket"


def making(model: NormalModel, references: References, twins: dict[str, float] | None = None) -> Preparation:
    """What detect works with where `model` is in the folder m."""
    model.save(Path("m"))
    return Preparation(references, preset("tiny"), {"twins": twins}, Path("m"), seed=0, device="cpu")


def test_a_pool_made_by_detect_has_the_noun_that_the_model_draws(model: NormalModel, references: References) -> None:
    for n in (1, 2):
        making(model, replace(references, noun="nut")).bank(None, Path("p"), n, silent)
    assert json.loads(Path("p.normalgen/run.json").read_text())["settings"]["object"] == "part"
    assert len(Path("p/metadata.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--steps 10", "--steps must be at most 9, the steps that --strength 0.3 of 30 gives, got 10"),
        (
            "--strength 0.01",
            "--strength must be at least 0.034, one of the model's 30 sampling steps, got 0.01",
        ),
    ],
)
def test_twins_that_cannot_be_made_are_told_of_before_any_work(
    photos: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("detect", "good/0.png", "--references", "good", *words.split(), "--device", "cpu") == 1
    assert message in capsys.readouterr().err
    assert not Path("models").exists()


def test_twins_are_made_in_the_steps_that_the_model_samples_in(model: NormalModel, references: References) -> None:
    finer = model.using(change(model.preset, sample={"steps": 100}))
    assert making(finer, references, {"strength": 0.01}).twin_settings(finer).twins.strength == 0.01
    assert making(model, references).twin_settings(model).twins.steps == 1  # nothing of twins was asked
    with pytest.raises(PresetError, match=r"at most 30, the steps that --strength 0\.3 of 100 gives, got 31"):
        making(finer, references, {"steps": 31})


def test_distilled_weights_that_are_not_there_are_told_of_before_any_work(
    photos: Path, stable_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = ["--weights", str(stable_folder), "--size", "64", "--training-steps", "2", "--device", "cpu"]
    assert run("generate", "good", "--preset", "sd15", *toy, "--distilled", "gone.safetensors") == 1
    assert "--distilled: gone.safetensors must be a LoRA in safetensors" in capsys.readouterr().err
    assert not Path("models").exists()


def test_a_folder_good_is_named_by_the_one_above_and_a_note_says_so(
    photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bracket").mkdir()
    photos.rename("bracket/good")
    assert run("generate", "bracket/good", "-n", "1", "--plain", "1", *quick[:-2]) == 0
    assert "note: the category is called 'bracket', after a folder above" in capsys.readouterr().err
    assert "bracket" in Path("pools/bracket/metadata.jsonl").read_text()


def test_plain_images_alone_need_no_model(photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    plain = ["generate", "good", "-n", "3", "--plain", "1", "--size", "32", "--gate"]
    assert run(*plain, "--preset", "sd15") == 0
    shown = capsys.readouterr()
    assert "so no model is customized" in shown.err
    assert "training-steps" not in shown.err
    assert "made as        3 augmented photos" in shown.out
    assert not Path("models").exists()
    assert datasets.load_dataset("pools/good", split="train")["model"] == ["", "", ""]
    assert json.loads(Path("pools/good.normalgen/run.json").read_text())["settings"]["model"] == ""


def test_a_category_in_mvtec_layout(photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("root/metal_nut/train").mkdir(parents=True)
    photos.rename("root/metal_nut/train/good")
    assert run("generate", "--category", "metal_nut", "--data", "root", "-k", "2", "-n", "1", *quick) == 0
    assert "2 of 6 normal images" in capsys.readouterr().err
    assert "normal metal nut" in Path("pools/metal_nut/metadata.jsonl").read_text()


def test_a_downscale_that_hides_detail_gets_one_line(quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("big").mkdir()
    Image.effect_noise((640, 320), 50).save("big/a.png")
    run("generate", "big", "-n", "1", *quick)
    lines = [line for line in capsys.readouterr().err.splitlines() if "narrower than about 40" in line]
    assert len(lines) == 1


@pytest.mark.parametrize("words", ["-k 3", "--category other"])
def test_a_manifest_is_not_silently_overruled(
    photos: Path, quick: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("customize", "good", "-k", "2", "--out", "m", *quick[:8])
    assert run("generate", "good", "--manifest", "m/references.json", *words.split(), *quick) == 1
    assert "manifest" in capsys.readouterr().err
    assert not Path("pools").exists()


def test_a_second_pool_of_one_model_has_its_own_settings(photos: Path, quick: list[str]) -> None:
    run("generate", "good", "-n", "1", *quick)
    assert run("generate", "good", "-n", "1", "--out", "other", *quick, "--strength", "0.75") == 0
    assert '"strength": 0.75' in Path("other/metadata.jsonl").read_text()


def test_more_sampling_steps_need_no_new_model(photos: Path, quick: list[str]) -> None:
    run("generate", "good", "-n", "1", *quick)
    made = Path("models/good/tiny.safetensors").stat().st_mtime_ns
    assert run("generate", "good", "-n", "1", "--out", "other", *quick, "--sampling-steps", "20") == 0
    assert Path("models/good/tiny.safetensors").stat().st_mtime_ns == made


def test_more_explicit_steps_are_measured_by_the_model_that_is_there(photos: Path, quick: list[str]) -> None:
    run("generate", "good", "-n", "1", *quick, "--strength", "0.5")
    words = ["-n", "1", "--out", "other", "--model", "models/good", "--explicit-steps", "5", "--device", "cpu"]
    assert run("generate", "good", *words) == 0  # of 10 steps; preset tiny itself would make 1 of 30
    settings = json.loads(Path("other.normalgen/run.json").read_text())["settings"]
    assert (settings["sample.explicit_steps"], settings["pool.strength"]) == (5, 0.5)


def test_training_options_do_not_change_a_finished_model(
    photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run("generate", "good", "-n", "1", *quick)
    assert run("generate", "good", "-n", "1", "--model", "models/good", "--training-steps", "9", "--out", "other") == 1
    assert "--training-steps 2" in capsys.readouterr().err


def test_quality_advises_and_compares_what_diffusion_made(
    photos: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run("generate", "good", "-k", "2", "-n", "2", *quick)
    assert run("pool", "quality", "pools/good", "--photos", "good") == 0
    shown = capsys.readouterr().out
    assert "img2img" in shown
    assert "AUROC of a patch memory on 4 unseen good photos and drawn defects" in shown
    found = json.loads(Path("pools/good.normalgen/quality.json").read_text())
    assert set(found["img2img"]["misses"]) <= {line.split("  ")[0] for line in shown.splitlines() if " !" in line}
    assert all(f"  img2img, {name}: {words} (bar: " in shown for name, words in found["img2img"]["misses"].items())
    run("generate", "good", "-k", "2", "-n", "2", "--out", "plain", *quick[:-1], "1", "--model", "models/good")
    assert run("pool", "quality", "plain", "--photos", "good") == 0
    assert "img2img" not in (shown := capsys.readouterr().out)
    assert "plain augmentation" in shown
    few = Path("few")
    few.mkdir()
    for photo in sorted(Path("good").iterdir())[:3]:
        shutil.copy(photo, few)
    run("generate", "few", "-n", "2", "--out", "plain-few", *quick[:-1], "1", "--model", "models/few")
    assert run("pool", "quality", "plain-few", "--photos", "few") == 1
    assert "no diffusion image to measure" in capsys.readouterr().err


def test_stable_diffusion_goes_through_the_same_door(
    photos: Path, stable_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = ["--weights", str(stable_folder), "--size", "64", "--training-steps", "2", "--sampling-steps", "4"]
    made = ["generate", "good", "--preset", "sd15", "-n", "2", "-k", "2", "--no-gate", "--device", "cpu", *toy]
    run(
        "customize",
        "good",
        "--preset",
        "sd15",
        "-k",
        "2",
        "--out",
        "m",
        "--class-images",
        "2",
        *toy[:6],
        "--device",
        "cpu",
    )
    assert run(*made, "--model", "m") == 0
    assert Path("m/pytorch_lora_weights.safetensors").is_file()
    assert run(*made, "--model", "m/pytorch_lora_weights.safetensors", "--out", "adopted") == 0
    pools = [datasets.load_dataset(folder, split="train") for folder in ("pools/good", "adopted")]
    assert pools[0]["mode"] == pools[1]["mode"] == ["txt2img", "img2img"]
    assert pools[0][0]["image"].tobytes() == pools[1][0]["image"].tobytes()


def test_missing_weights_are_told_of_before_any_work(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "good", "--preset", "sd15", "-n", "2") == 1
    assert "hf download stable-diffusion-v1-5/stable-diffusion-v1-5" in capsys.readouterr().err
    assert not Path("models").exists()
    assert not Path("pools").exists()
