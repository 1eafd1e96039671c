"""Image and pixel metrics of maps against masks of any size."""

from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from normalgen.data.category import TestImage
from normalgen.detectors.base import Prediction
from normalgen.evaluation.measure import measure
from normalgen.images.decode import ImageItem

SIDE = 1024


def item(name: str, picture: Image.Image) -> ImageItem:
    buffer = BytesIO()
    picture.save(buffer, "png")
    return ImageItem(name, name, buffer.getvalue)


def scratched(*widths: int) -> list[TestImage]:
    """One photo per width with a scratch as wide, in pixels of the photo, and two good ones."""
    plain = Image.new("RGB", (SIDE, SIDE))
    tests = [TestImage(item(f"good-{i}", plain), "good") for i in range(2)]
    for index, width in enumerate(widths):
        mask = Image.new("L", (SIDE, SIDE))
        ImageDraw.Draw(mask).line([(200, 300 + 50 * index), (700, 400 + 50 * index)], fill=255, width=width)
        tests.append(TestImage(item(f"bad-{index}", plain), "scratch", item(f"mask-{index}", mask)))
    return tests


def maps(tests: list[TestImage], size: int, blind: tuple[int, ...] = ()) -> Prediction:
    """A detector that sees all marks at `size` pixels, except on images `blind`."""
    seen: list[NDArray[np.bool_]] = [test.marks(size).mask & (index not in blind) for index, test in enumerate(tests)]
    found = torch.from_numpy(np.stack(seen)).float()
    return Prediction(torch.tensor([float(test.label) for test in tests]), found)


def test_thin_scratches_are_measured_and_a_detector_that_misses_them_is_told_from_one_that_does_not() -> None:
    tests = scratched(1, 2, 20)
    whole, missed = measure(maps(tests, 256), tests), measure(maps(tests, 256, blind=(2, 3)), tests)
    assert (whole.regions, whole.thin, whole.unmeasured) == (3, 2, "")
    assert whole.metrics["aupro"] == pytest.approx(1)
    assert missed.metrics["aupro"] == pytest.approx(1 / 3 + 2 / 3 * 0.15, abs=0.01)


def test_thin_defects_alone_are_measured() -> None:
    tests = scratched(1, 1)
    assert measure(maps(tests, 256), tests).metrics["pixel_auroc"] == pytest.approx(1)


def test_every_region_of_the_mask_counts_though_they_touch_on_the_map() -> None:
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (100, 100, 300, 300))
    mask.paste(255, (301, 100, 303, 102))
    plain = Image.new("RGB", (SIDE, SIDE))
    tests = [TestImage(item("good", plain), "good"), TestImage(item("bad", plain), "hole", item("mask", mask))]
    prediction = maps(tests, 256)
    measured = measure(prediction, tests)
    assert (measured.regions, measured.thin) == (2, 1)
    prediction.anomaly_maps[1, 25:27, 75:77] = 0  # the speck
    assert (measure(prediction, tests).metrics["aupro"] or 0) < 0.6


SPOILT = {
    "has no mask": None,
    "marks nothing": Image.new("L", (SIDE, SIDE)),
    "they must agree": Image.new("L", (SIDE, SIDE + 1), 255),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_images_are_measured_where_pixels_cannot_be(reason: str) -> None:
    tests, prediction, mask = scratched(9, 9), maps(scratched(9, 9), 64), SPOILT[reason]
    tests[3] = TestImage(tests[3].image, "scratch", None if mask is None else item("spoilt", mask))
    measured = measure(prediction, tests)
    assert measured.metrics["image_auroc"] == 1
    assert measured.metrics["pixel_auroc"] is measured.metrics["aupro"] is None
    assert reason in measured.unmeasured


def test_maps_that_are_not_finite_or_missing_leave_the_images_measured() -> None:
    tests = scratched(9)
    prediction = maps(tests, 64)
    nothing = measure(Prediction(prediction.image_scores, torch.empty(0, 4, 4)), tests)
    broken = measure(Prediction(prediction.image_scores, prediction.anomaly_maps / 0), tests)
    assert (nothing.metrics["image_auroc"], broken.metrics["image_auroc"]) == (1, 1)
    assert nothing.unmeasured == "the detector gives no maps"
    assert "not finite" in broken.unmeasured
