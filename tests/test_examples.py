"""The examples that are not run by other tests."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from conftest import drawn
from detecting import crossed, rows, run

from normalgen.pool.from_images import NO_SOURCE, write_pool

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")


def reproduce(*words: str, folder: Path = ROOT) -> str:
    command = [sys.executable, str(ROOT / "examples" / "reproduce.py"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_costs_in_the_run_book_are_those_that_the_dry_run_counts() -> None:
    lines = reproduce("all", "--dry-run").splitlines()
    assert len(lines) == 8
    assert all(line in GUIDE for line in lines[1:])


def test_reproduce_makes_models_and_pools_and_shards_the_cells(photos: Path, prior: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data" / "part" / "train" / "good")
    toy = f"--weights {prior} --size 32 --training-steps 1 --class-images 0 --device cpu --no-gate "
    toy += "--sampling-steps 10 --strength 0.1"
    words = ["timing", "--data", "data", "--preset", "tiny", "--seeds", "2", "-n", "2", "--shard", "2/2", *toy.split()]
    assert "normalgen generate --category part" in reproduce(*words, folder=tmp_path)
    assert {path.name for path in (tmp_path / "runs" / "pools").iterdir()} == {"part-4-1", "part-4-1.normalgen"}
    assert len(datasets.load_dataset(str(tmp_path / "runs" / "pools" / "part-4-1"), split="train")) == 2


def test_false_alarms_are_counted_on_good_photos_that_are_no_references(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "sets" / "part" / "train" / "good")
    words = [f"folder={tmp_path / 'sets'}", "--shots", "2", "4", "--rates", "0.05", "--features", "cnn", "--good", "2"]
    command = [sys.executable, str(ROOT / "examples" / "false_alarms.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    assert header == "| category | good photos | 2 shots, 0.05 | 4 shots, 0.05 | median score |"
    assert re.fullmatch(r"\| part \| 2 \| - \| (0|50|100) \| -?\d+\.\d\d, -?\d+\.\d\d \|", row)


def test_the_commands_in_the_run_book_have_options_that_exist() -> None:
    texts = re.findall(r"```bash\n(.*?)```", GUIDE, flags=re.DOTALL)
    commands = [line.split("#")[0] for text in texts for line in text.splitlines() if line.startswith("normalgen")]
    assert len(commands) >= 4
    for command in {line.split()[1] for line in commands}:
        words = [sys.executable, "-m", "normalgen", command, "--help"]
        shown = subprocess.run(words, capture_output=True, text=True, check=True, env=None).stdout
        used = {word for line in commands if line.split()[1] == command for word in line.split() if word[:2] == "--"}
        assert used
        assert all(word in shown for word in used), command


def spoilt_set(photos: Path, folder: Path) -> None:
    """Write `folder`/mixed with two good photos and a crossed one, and `folder`/pool with three good images."""
    mixed = folder / "mixed"
    mixed.mkdir()
    for seed, make in ((60, drawn), (61, drawn), (62, crossed)):
        make(seed).save(mixed / f"{seed}.png")
    images = [drawn(seed) for seed in range(40, 43)]
    write_pool(folder / "pool", images, [NO_SOURCE] * 3, category="good", mode="img2img")


def test_a_detector_of_one_s_own_detects_with_a_pool(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt_set(photos, tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples/own_detector.py", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["detect", "mixed", "--references", "good", "--pool", "pool", "--device", "cpu", "--out", "out"]
    words += ["--detector", "own_detector:NearestColour[size=16]"]
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert "own_detector:NearestColour[size=16], learned from 9 images" in shown
    assert "ranking only" in shown
    assert rows()[0]["file"] == "62.png"
    settings = json.loads(Path("out/run.json").read_text())["settings"]
    assert (settings["size"], settings["bank_images"]) == (16, 9)
    assert run(*words, "--save", "saved") == run(*words, "--self-test") == 1
    assert capsys.readouterr().err.count("only detectors of normalgen take --save and --self-test") == 2
    assert not Path("models").exists()


def test_an_estimator_of_scikit_learn_ranks_with_a_pool(photos: Path, tmp_path: Path) -> None:
    spoilt_set(photos, tmp_path)
    words = [sys.executable, str(ROOT / "examples/sklearn_pool.py"), "good", "pool", "mixed", "--features", "cnn"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ranked = [line.split()[1] for line in done.stdout.splitlines()]
    assert (ranked[0], len(ranked)) == ("62.png", 3)
