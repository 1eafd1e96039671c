"""What detect writes before the model and the pool are there, and what is left of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from detecting import detect, rows

import normalgen as ng
from normalgen.customizing import dreambooth
from normalgen.report import judging

FIRST = "First results, from the references alone"
fine_tune = dreambooth.fine_tune


@pytest.fixture
def nothing(here: Path, prior: Path) -> list[str]:
    """The words of a run from nothing: no model is there, and no pool is asked for."""
    shutil.rmtree("models")
    return ["-n", "0", "--weights", str(prior), "--size", "32", "--training-steps", "2", "--augment", "safe"]


def stopped(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def record() -> dict[str, Any]:
    return dict(json.loads(Path("out/run.json").read_text()))


def branches() -> list[str]:
    return [*json.loads(Path("out/results.jsonl").read_text().splitlines()[0])["scores"]]


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("out").rglob("*.*")) if path.name != ".lock"}


def test_first_results_are_whole_before_a_model_is_made_and_are_replaced_then(
    nothing: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def spied(*given: Any, **named: Any) -> Any:
        seen.append((record()["first"], FIRST in Path("out/report.html").read_text(), branches()))
        assert {path.name for path in Path("out/maps").iterdir()} >= {"cross__30.png", "good__20.png"}
        return fine_tune(*given, **named)

    monkeypatch.setattr(dreambooth, "fine_tune", spied)
    assert detect(*nothing) == 0
    assert seen == [(True, True, ["n"])]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "first results" in line]
    assert "from the references alone, are in out/report.html; a model or a pool is made now to refine them" in line
    assert (record()["first"], FIRST in Path("out/report.html").read_text()) == (False, False)
    assert branches() == ["p", "n"]
    refined = files()
    shutil.rmtree("out")
    assert detect(*nothing) == 0
    assert files() == refined
    assert "first results" not in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["customize", "detect"])
def test_ctrl_c_leaves_the_first_results_in_place_and_says_so(
    stage: str, nothing: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first: dict[str, bytes] = {}

    def spied(*given: Any, **named: Any) -> Any:
        first.update(files())
        if stage == "customize":
            raise KeyboardInterrupt
        monkeypatch.setattr(judging.DetectionFiles, "take", stopped)
        return fine_tune(*given, **named)

    monkeypatch.setattr(dreambooth, "fine_tune", spied)
    assert detect(*nothing) == 130
    assert first
    assert files() == first
    said = capsys.readouterr().err.splitlines()
    assert said[-2] == "note: the first results stay in out; the same command refines them"
    assert said[-1].startswith("error: stopped; finished work is kept.")


def test_a_missing_pool_gives_first_results_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect("-n", "2", "--branches", "n") == 0
    assert "first results, from the references alone" in capsys.readouterr().err
    assert detect("-n", "2", "--branches", "n") == 0
    assert "first results" not in capsys.readouterr().err


def test_python_users_get_them_too(nothing: list[str], prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dreambooth, "fine_tune", stopped)
    small = {"weights": str(prior), "size": 32, "augment": "safe"}
    with pytest.raises(KeyboardInterrupt):
        ng.detect(
            "mixed", ng.References.from_folder("good", k=2), "out", n=0, settings=small, device="cpu", progress=False
        )
    assert record()["first"]
    assert len(rows()) == 5
