"""How often normalgen generate reads the photos."""

import json
from collections import Counter
from pathlib import Path

import pytest
from detecting import run


@pytest.mark.parametrize("crop", [[], ["--crop", "center"]])
def test_each_reference_is_read_and_decoded_once(
    photos: Path,
    prior: Path,
    crop: list[str],
    reads: Counter[str],
    decoded: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    toy = ["--weights", str(prior), "--size", "32", "--training-steps", "2", "--device", "cpu"]
    assert run("generate", str(photos), "--category", "good", "-k", "2", "-n", "3", *toy, *crop) == 0
    assert Path("models/good/references.json").is_file()
    assert len(list(Path("pools/good/images").iterdir())) == 3
    used = {path: count for path, count in decoded.items() if path.startswith(str(photos))}
    assert [*used.values()] == [1, 1]
    assert {path: count for path, count in reads.items() if path.startswith(str(photos))} == used


def test_a_manifest_s_references_are_read_and_decoded_once(
    photos: Path,
    reads: Counter[str],
    decoded: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["generate", str(photos), "--plain", "1", "--no-gate", "-n", "2", "--size", "32", "--device", "cpu"]
    assert run(*words, "-k", "2", "--out", "first") == 0
    made = json.loads(Path("first.normalgen/run.json").read_text())
    Path("shots.json").write_text(json.dumps(made["references"]))
    reads.clear()
    decoded.clear()
    assert run(*words, "--manifest", "shots.json", "--out", "second") == 0
    used = {path: count for path, count in reads.items() if path.startswith(str(photos))}
    assert [*used.values()] == [1, 1]
    assert {path: decoded[path] for path in used} == used
