"""The examples that are not run by other tests."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets

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
