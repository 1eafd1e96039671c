"""Text maps in use: the command that trains them, and detectors that carry them along."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from marked import Pixels, write
from PIL import Image
from typer.testing import CliRunner

from normalgen.cli.train_text import train_text as command
from normalgen.data.readers.mvtec import marked_categories
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.one_to_normal.text_branch import TextMaps
from normalgen.detectors.one_to_normal.text_training import train_text
from normalgen.errors import DataError, NormalgenError
from normalgen.features.contract import Features
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.references import References


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(write(tmp_path_factory.mktemp("marked"), "metal_disc"), "plate", 2)


@pytest.fixture(scope="module")
def trained(root: Path) -> TextMaps:
    return train_text(Pixels(), marked_categories(root), epochs=2, batch=4, rate=0.005)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command with pixels as its features "clip"; its output, or its error."""

    def opened(name: str, *, device: str) -> Features:
        return Pixels() if name == "clip" else CnnFeatures(device)

    monkeypatch.setattr("normalgen.features.open_features.open_features", opened)
    app = typer.Typer()
    app.command()(command)

    def call(*words: object) -> str:
        result = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
        if isinstance(result.exception, NormalgenError):
            return f"error: {result.exception}"
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_the_command_writes_maps_and_leaves_nothing_else(run: Callable[..., str], root: Path, tmp_path: Path) -> None:
    told = run("--data", root, "--out", tmp_path / "text.safetensors", "--epochs", 1)
    assert "trained on 16 images of 2 objects, 8 of them with defects" in told
    assert "text maps 2/2" in told
    assert [file.name for file in tmp_path.iterdir()] == ["text.safetensors"]
    assert TextMaps.load(tmp_path / "text.safetensors", Pixels()).size == 64


def test_the_command_says_what_is_wrong(run: Callable[..., str], root: Path, tmp_path: Path) -> None:
    out = tmp_path / "text.safetensors"
    assert "no masks in" in run("--data", tmp_path, "--out", out)
    assert "embedded' have no text encoder" in run("--data", root, "--out", out, "--features", "embedded")
    out.touch()
    assert "already exists" in run("--data", root, "--out", out)


SPOILT = {
    "marks nothing": Image.new("L", (64, 64)),
    "they must agree": Image.new("L", (64, 63), 255),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_masks_are_checked_before_any_training(
    run: Callable[..., str], tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", "disc", 3)
    SPOILT[reason].save(sorted(tmp_path.glob("data/disc/ground_truth/stain/*"))[-1])
    monkeypatch.setattr("normalgen.detectors.one_to_normal.text_training._Training", None)
    told = run("--data", tmp_path / "data", "--out", tmp_path / "text.safetensors")
    assert told.startswith("error: 1 mask cannot be used; the first: ")
    assert reason in told


def test_a_defect_thinner_than_the_maps_is_still_learnt_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "disc", 1)
    Image.effect_noise((640, 640), 20).save(tmp_path / "disc/test/stain/0.png")
    mask = Image.new("L", (640, 640))
    mask.putpixel((300, 300), 255)
    mask.save(tmp_path / "disc/ground_truth/stain/0_mask.png")
    categories = marked_categories(tmp_path)
    assert [int(test.load(64)[1].sum()) for test in categories[0].tests if test.label] == [1]
    train_text(Pixels(), categories, epochs=1)
    assert "1 of 1 marked regions cover no pixel by half at 64 px" in caplog.text


def test_a_saved_detector_brings_its_text_maps_along(
    trained: TextMaps, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normalgen.detectors.one_to_normal.detector.open_features", lambda name, device: Pixels())
    file = tmp_path / "maps.safetensors"
    trained.save(file)
    detector = OneToNormal(features="clip", branches=("n", "text"), text=str(file))
    expected = detector.fit(references).predict(references.images).image_scores
    detector.save(tmp_path / "detector")
    file.unlink()
    loaded = OneToNormal.load(tmp_path / "detector")
    assert torch.equal(loaded.predict(references.images).image_scores, expected)
    assert loaded.trained_on(references.images) == []


def test_a_saved_detector_refuses_features_of_other_weights(
    references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normalgen.detectors.one_to_normal.detector.open_features", lambda name, device: Pixels())
    OneToNormal(features="clip", branches=("n",)).fit(references).save(tmp_path)
    other = Pixels()
    other.name = "pixels@2"
    monkeypatch.setattr("normalgen.detectors.one_to_normal.detector.open_features", lambda name, device: other)
    with pytest.raises(DataError, match="features pixels at 64 px, these are pixels@2"):
        OneToNormal.load(tmp_path)
