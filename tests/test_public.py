"""What `import normalgen as ng` offers: its names, and the way from photos to verdicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import drawn
from PIL import Image

import normalgen as ng
from normalgen.errors import DataError
from normalgen.features.open_features import open_features
from normalgen.images.sources import as_images
from normalgen.pipeline.make import generate_shard
from normalgen.pool.workers import Shard

NAMES = [
    "Images",
    "NormalModel",
    "NormalgenError",
    "OneToNormal",
    "Pool",
    "References",
    "customize",
    "detect",
    "generate_pool",
    "personalize",
    "screen",
    "suggest",
]
QUICK = {"size": 64, "train": {"steps": 1}, "pool": {"gate": False, "plain": 1.0}, "twins": {"steps": 1}}


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ng.References:
    monkeypatch.chdir(tmp_path)
    for folder, seeds in {"good": range(2), "mixed": range(10, 13)}.items():
        Path(folder).mkdir()
        for seed in seeds:
            drawn(seed).save(f"{folder}/{seed}.png")
    return ng.References.from_folder("good", noun="part")


def test_the_public_names_are_these() -> None:
    assert ng.__all__ == NAMES
    assert all(getattr(ng, name).__name__ == name for name in NAMES)
    with pytest.raises(AttributeError, match="nothing"):
        ng.nothing  # noqa: B018


def test_photos_become_a_pool_a_detection_and_a_detector_that_is_kept(
    good: ng.References, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = ng.generate_pool(good, n=3, settings=QUICK, device="cpu", progress=False)
    first = ng.detect("mixed", good, pool=pool, settings=QUICK, device="cpu", progress=False)
    assert len(pool) == 3
    assert "%|" not in capsys.readouterr().err
    first.detector.save(Path("kept"))
    again = ng.detect("mixed", folder="again", detector="kept", device="cpu", progress=False)
    assert [row.score for row in again.run.results] == [row.score for row in first.run.results]
    assert Path("again/report.html").is_file()


def test_unlabeled_pictures_are_screened_and_join_a_pool(good: ng.References, monkeypatch: pytest.MonkeyPatch) -> None:
    small = lambda name, **given: open_features(name, size=64, **given)  # noqa: E731
    monkeypatch.setattr("normalgen.features.open_features.open_features", small)
    pictures = [drawn(seed) for seed in range(40, 44)]
    found = ng.screen(pictures, good, contamination=0.25, device="cpu", progress=False)
    assert [*found.verdicts] == ["00000", "00001", "00002", "00003"]
    assert {*found.kept.names} == {name for name, verdict in found.verdicts.items() if verdict == "kept"}
    assert len(found.kept) == 3
    assert (found.passed, found.folder) == ({}, Path("screenings/good"))
    options: dict[str, Any] = {"settings": QUICK, "device": "cpu", "progress": False}
    pool = ng.generate_pool(good, 4, unlabeled=np.stack(list(map(np.asarray, pictures))), contamination=0.25, **options)
    assert [row["reference"] for row in pool.rows[:3]] == found.kept.names
    assert pool.rows[3]["mode"] == "augmented"
    with pytest.raises(DataError, match="share of --unlabeled photos"):
        ng.generate_pool(good, 4, "other", contamination=0.25, **options)


def test_a_detector_takes_a_folder_pictures_and_an_array(good: ng.References) -> None:
    detector = ng.OneToNormal(branches=("n",)).fit(good)
    pictures = [Image.open(path).convert("RGB") for path in sorted(Path("mixed").iterdir())]
    scores = detector.predict("mixed").image_scores
    assert len(scores) == 3
    assert torch.equal(detector.predict(pictures).image_scores, scores)
    assert torch.equal(detector.predict(np.stack([np.asarray(picture) for picture in pictures])).image_scores, scores)
    assert torch.equal(detector.predict(Path("mixed/11.png")).image_scores, scores[1:2])


def test_a_saved_detector_can_be_saved_over_itself(good: ng.References) -> None:
    detector = ng.OneToNormal(branches=("n",)).fit(good)
    detector.save(Path("kept"))
    ng.OneToNormal.load(Path("kept")).save(Path("kept"))
    kept = ng.OneToNormal.load(Path("kept"))
    assert torch.equal(kept.predict("mixed").image_scores, detector.predict("mixed").image_scores)


@pytest.mark.parametrize("wrong", [np.zeros((2, 8, 8), np.uint8), np.zeros((1, 8, 8, 3)), ["mixed"], "absent"])
def test_what_holds_no_images_is_refused(wrong: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        as_images(wrong)  # type: ignore[arg-type]


def test_calibrating_and_judging_are_both_reported(good: ng.References, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    for seed in range(20, 24):
        drawn(seed).save(f"more/{seed}.png")
    detector = ng.OneToNormal(branches=("n",))
    found = ng.detect("mixed", good, detector=detector, n=0, calibrate="more", rate=0.25, device="cpu")
    said = capsys.readouterr().err
    assert found.threshold.supported
    assert "calibrate 4/4" in said
    assert "detect 3/3" in said


def test_a_shard_finishes_the_pool_that_one_worker_would_make(good: ng.References) -> None:
    options: dict[str, Any] = {"settings": QUICK, "device": "cpu", "progress": False}
    alone = ng.generate_pool(good, 3, "alone", **options)
    pool = generate_shard(good, Shard.parse("1/1"), 3, "shared", **options)
    assert pool is not None
    assert [item.read() for item in pool.images.items] == [item.read() for item in alone.images.items]
