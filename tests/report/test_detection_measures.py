"""What labels and masks say of a detection run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detecting import crossed, detect
from PIL import Image

from normalgen.data.category import TestImage
from normalgen.data.queries import find_queries
from normalgen.detectors.base import Prediction
from normalgen.evaluation.measure import measure
from normalgen.report.detection_measures import Confusion, DetectionMeasures

FAST = ("-n", "0", "--branches", "n")


def cross(path: Path, size: int = 40) -> None:
    """The mask of `crossed` photos."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dark = np.asarray(crossed(30).convert("L")) < 20
    Image.fromarray((dark * 255).astype(np.uint8)).resize((size, size)).save(path)


def record() -> dict[str, Any]:
    return dict(json.loads(Path("out/run.json").read_text()))


@pytest.fixture
def masks(here: Path) -> Path:
    for seed in (30, 31):
        cross(Path(f"mixed/mask/{seed}.png"))
    return here


def test_counts_are_of_photos_with_a_label_and_a_verdict() -> None:
    labels = ["good", "good", "good", "cross", "hole", None, "hole"]
    verdicts = ["normal", "anomalous", "normal", "anomalous", "normal", "anomalous", ""]
    counts = Confusion.of(labels, verdicts)
    assert counts == Confusion(true_positives=1, false_positives=1, true_negatives=2, false_negatives=1)
    assert counts.sentence() == (
        "1 of 2 anomalous photos are called anomalous (true positives), and 1 of 3 good ones (false positives)"
    )
    assert Confusion.of([None], ["normal"]) is None
    assert Confusion.of(["good"], [""]) is None


def test_labels_give_counts_at_the_threshold_everywhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(*FAST) == 0
    said = capsys.readouterr().out
    counts = record()["confusion"]
    assert (counts["true_positives"] + counts["false_negatives"], sum(counts.values())) == (2, 5)
    assert f"at the threshold: {counts['true_positives']} of 2 anomalous photos are called anomalous" in said
    assert "<dt>true positives</dt>" in Path("out/report.html").read_text()
    assert detect(*FAST, "--rate", "0.001") == 0
    assert record()["confusion"] is None
    assert record()["reasons"]["confusion"].startswith("ranking only")
    assert "at the threshold" not in capsys.readouterr().out


def test_masks_give_the_pixel_metrics_of_an_evaluation(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(*FAST, "--save-maps") == 0
    queries = find_queries(Path("mixed"))
    maps = [np.load(f"out/maps/{name.replace('/', '__').removesuffix('.png')}.npy") for name in queries.images.names]
    tests = [
        TestImage(item, label or "", queries.masks.get(item.name))
        for item, label in zip(queries.images.items, queries.labels, strict=True)
    ]
    wanted = measure(Prediction(torch.arange(5.0), torch.from_numpy(np.stack(maps))), tests).metrics
    for name in ("pixel_auroc", "aupro"):
        assert record()[name] == pytest.approx(wanted[name], abs=1e-3)
        assert 0.5 < record()[name] < 1
    assert f"masks known: pixel AUROC {record()['pixel_auroc']:.3f}, AUPRO {record()['aupro']:.3f}" in (
        capsys.readouterr().out
    )
    page = Path("out/report.html").read_text()
    assert f"<dt>AUPRO</dt><dd>{record()['aupro']:.3f}</dd>" in page


def test_masks_are_cropped_as_their_photos_are(masks: Path) -> None:
    whole = []
    for crop in (["--crop", "5,10,26,26"], []):
        assert detect(*FAST, *crop) == 0
        whole.append(record()["pixel_auroc"])
    assert None not in whole
    assert whole[0] != whole[1]


def missing(folder: Path) -> None:
    (folder / "31.png").unlink()


def large(folder: Path) -> None:
    cross(folder / "31.png", 80)


def empty(folder: Path) -> None:
    Image.new("L", (40, 40)).save(folder / "31.png")


REASONS = [
    (missing, "1 of 2 anomalous photos have no mask, such as cross/31.png"),
    (large, "31.png has (80, 80) pixels and its image (40, 40); they must agree"),
    (empty, "31.png marks nothing, but its image is anomalous: cross"),
]


@pytest.mark.parametrize(("spoil", "reason"), REASONS)
def test_a_bad_mask_costs_the_pixel_metrics_alone_and_says_why(
    masks: Path, spoil: Any, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(masks / "mixed/mask")
    assert detect(*FAST) == 0
    assert reason in record()["reasons"]["pixel_auroc"]
    assert record()["reasons"]["aupro"] == record()["reasons"]["pixel_auroc"]
    assert record()["auroc"] is not None
    assert f"no pixel AUROC: {record()['reasons']['aupro']}" in capsys.readouterr().out
    assert reason in Path("out/report.html").read_text()


def test_without_labels_or_masks_each_measure_has_its_reason() -> None:
    facts = DetectionMeasures().record("")
    assert facts["reasons"].keys() == facts.keys() - {"reasons"}
    assert (
        facts["reasons"]["confusion"] == facts["reasons"]["auroc"] == "there are no labels of good and of other photos"
    )
    assert facts["reasons"]["aupro"] == "there are no masks of labelled anomalous photos"
    assert DetectionMeasures().facts() == []
