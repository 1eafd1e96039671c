"""normalgen generate --unlabeled --repair as users type it."""

import json
from pathlib import Path

import pytest
from detecting import run
from PIL import Image, ImageDraw
from test_screen_command import FEW, _small_features, line

from normalgen.pool.dataset import Pool

__all__ = ["_small_features", "line"]

WORDS = ["generate", "good", "--unlabeled", "line", *FEW, "--training-steps", "1", "--weights"]


@pytest.fixture
def spotted(line: Path) -> Path:
    """Seven good photos, and one with a small spot."""
    with Image.open(line / "100.png") as picture:
        ImageDraw.Draw(picture).ellipse((3, 3, 6, 6), fill=(20, 60, 220))
        picture.save(line / "spot.png")
    for name in ("cross", "100"):
        (line / f"{name}.png").unlink()
    return line


def sheet(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """Run the command; return the modes of the pool's rows, and what was said."""
    assert run(*words) == 0
    said = capsys.readouterr()
    return [row["mode"] for row in Pool.load(Path("pools/good")).rows], " ".join((said.out + said.err).split())


def test_a_repaired_photo_joins_the_pool_and_nothing_is_made_again(
    spotted: Path, prior: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("normalgen.quality.repair.score_against", lambda streams, limits: 0.5)
    modes, said = sheet([*WORDS, str(prior), "--repair"], capsys)
    assert modes.count("repaired") == 1
    assert modes[modes.count("photo")] == "repaired"
    assert "1 of 1 photos with a small unusual region are repaired for the pool" in said
    assert "1 repaired photos" in said
    rows = Pool.load(Path("pools/good")).rows
    repaired = next(row for row in rows if row["mode"] == "repaired")
    assert repaired["reference"] == "spot.png"
    assert 0 < repaired["repaired_share"] < 0.3
    assert repaired["model"]
    record = json.loads(Path("pools/good.normalgen/repaired/run.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["spot.png"]
    monkeypatch.setattr("normalgen.quality.repair.Repairing.repair", None)
    assert sheet([*WORDS, str(prior), "--repair"], capsys)[0] == modes
    assert run(*WORDS, str(prior), "-n", "12") == 1
    assert "--repair or --no-repair" in " ".join(capsys.readouterr().err.split())


def test_what_still_stands_out_is_not_repaired(
    spotted: Path, prior: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("normalgen.quality.repair.score_against", lambda streams, limits: 1.5)
    modes, said = sheet([*WORDS, str(prior), "--repair"], capsys)
    assert "repaired" not in modes
    assert "0 of 1 photos with a small unusual region are repaired" in said


def test_repair_needs_unlabeled_photos(spotted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "good", *FEW, "--repair") == 1
    assert "--repair is for suspicious photos among --unlabeled ones" in " ".join(capsys.readouterr().err.split())
