import sys
from pathlib import Path

import pytest

from normalgen.cli import main
from normalgen.diffusion.preset_check import trial
from normalgen.settings.presets import Preset, change, preset


def test_the_bundled_prior_does_what_it_should() -> None:
    found = list(trial(preset("tiny", size=64), device="cpu"))
    assert [each.name.split(",")[0] for each in found] == [
        "weights",
        "autoencoder",
        "denoiser",
        "text encoder",
        "twin",
        "training step",
    ]
    assert all(each.well for each in found)
    assert all(each.memory is not None and each.memory > 1e8 for each in found)


def test_random_weights_are_found_out(stable: Preset) -> None:
    found = {each.name: each for each in trial(stable, device="cpu")}
    assert not found["autoencoder"].well
    assert not found["denoiser"].well
    assert found["training step, lora"].well


def test_full_training_is_tried_too(stable: Preset) -> None:
    assert "0.2 million weights" in list(trial(change(stable, train={"method": "full"}), device="cpu"))[-1].found


def test_doctor_run_works_where_memory_is_unknown(
    prior: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    with pytest.raises(SystemExit):
        main(["doctor", "--preset", "tiny", "--weights", str(prior), "--size", "32", "--device", "cpu", "--run"])
    assert "memory unknown" in capsys.readouterr().out


def test_doctor_run_says_what_is_wrong(stable_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(
            ["doctor", "--preset", "sd15", "--weights", str(stable_folder), "--size", "64", "--device", "cpu", "--run"]
        )
    assert end.value.code == 1
    assert "WRONG  denoiser" in capsys.readouterr().out
