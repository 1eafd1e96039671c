import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from skimage.measure import label
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from torch import Tensor

from normalgen.detectors.metrics import (
    aupro,
    image_ap,
    image_ap_trapezoid,
    image_auroc,
    image_f1_max,
    image_metrics,
    pixel_ap,
    pixel_auroc,
    pixel_f1_max,
    pixel_metrics,
)

LABELS = torch.tensor([0, 0, 1, 0, 1])
SCORES = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
LEVELS = (image_auroc, image_ap, image_ap_trapezoid, image_f1_max)
PIXELS = (pixel_auroc, pixel_ap, pixel_f1_max, aupro)


def drawn(seed: int, levels: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """Four maps, two of them with blocks as defects that stand out a little; with `levels`, many equal scores."""
    draw = np.random.default_rng(seed)
    masks = [np.zeros((12, 9 + i), dtype=bool) for i in range(4)]
    masks[0][2:5, 3:6] = masks[0][5, 6] = masks[0][9:, 0] = masks[2][:2, :] = True
    maps = [draw.normal(size=mask.shape) + mask for mask in masks]
    maps = [np.round(each * levels) / levels for each in maps] if levels else maps
    return [torch.tensor(each, dtype=torch.float32) for each in maps], [torch.tensor(mask) for mask in masks]


def slow_aupro(maps: list[Tensor], masks: list[Tensor], limit: float) -> float:
    """Every threshold, every region, one by one."""
    points = [(0.0, 0.0)]
    normal = torch.cat([each[~mask] for each, mask in zip(maps, masks, strict=True)])
    for threshold in sorted({float(value) for each in maps for value in each.flatten()}, reverse=True):
        overlaps = []
        for each, mask in zip(maps, masks, strict=True):
            regions = torch.tensor(label(mask.numpy(), connectivity=2))
            overlaps += [float((each[regions == i] >= threshold).double().mean()) for i in range(1, regions.max() + 1)]
        points.append((float((normal >= threshold).double().mean()), sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        end = min(x1, limit)
        if end > x0:
            area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


def test_image_metrics_of_five_images_by_hand() -> None:
    found = image_metrics(LABELS, SCORES)
    assert found["image_auroc"] == pytest.approx(5 / 6)
    assert found["image_ap"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["image_ap_trapezoid"] == pytest.approx(0.5 * 1 + 0.5 * (1 / 2 + 2 / 3) / 2)
    assert found["image_f1_max"] == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))


def test_constant_scores_say_nothing() -> None:
    same = torch.ones(5)
    assert image_auroc(LABELS, same) == 0.5
    assert image_ap(LABELS, same) == pytest.approx(0.4)
    maps, masks = drawn(0)
    flat = [torch.zeros_like(each) for each in maps]
    prevalence = float(torch.cat([mask.flatten() for mask in masks]).double().mean())
    found = pixel_metrics(flat, masks)
    assert found["pixel_auroc"] == pytest.approx(0.5)
    assert found["pixel_ap"] == pytest.approx(prevalence)
    assert found["pixel_f1_max"] == pytest.approx(2 * prevalence / (1 + prevalence))
    assert found["aupro"] == pytest.approx(0.15)


def test_perfect_scores_give_one() -> None:
    _, masks = drawn(0)
    perfect = [mask.float() for mask in masks]
    found = [*pixel_metrics(perfect, masks).values(), aupro(perfect, masks, limit=1.0)]
    found += image_metrics(LABELS, LABELS.float()).values()
    assert found == pytest.approx([1] * 9)
    assert max(found) <= 1


@pytest.mark.parametrize("anomalous", [49, 93, 103])
def test_perfect_scores_of_any_count_give_no_more_than_one(anomalous: int) -> None:
    labels = torch.cat([torch.zeros(30), torch.ones(anomalous)])
    scores = labels + torch.rand(len(labels), generator=torch.Generator().manual_seed(0)) / 2
    image = image_metrics(labels, scores)
    pixel = pixel_metrics([scores[None]], [labels[None]])
    assert [*image.values(), *pixel.values()] == pytest.approx([1] * 8)
    assert max(*image.values(), *pixel.values()) <= 1


def test_scores_with_a_gradient_are_measured() -> None:
    assert image_metrics(LABELS, SCORES.clone().requires_grad_()) == image_metrics(LABELS, SCORES)


def test_inverted_scores_give_nothing() -> None:
    maps, masks = drawn(0)
    inverted = [-mask.float() for mask in masks]
    assert pixel_auroc(inverted, masks) == 0
    assert aupro(inverted, masks) == 0
    assert pixel_auroc(maps, masks) + pixel_auroc([-each for each in maps], masks) == pytest.approx(1)


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("limit", [0.01, 0.3, 1.0])
def test_aupro_equals_every_threshold_and_region_one_by_one(levels: int, limit: float) -> None:
    maps, masks = drawn(3, levels)
    assert aupro(maps, masks, limit) == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-12)


@pytest.mark.parametrize("levels", [0, 2])
def test_pixel_metrics_equal_scikit_learn_on_all_pixels(levels: int) -> None:
    maps, masks = drawn(4, levels)
    truth, scores = (torch.cat([each.flatten() for each in some]).numpy() for some in (masks, maps))
    precision, recall, _ = precision_recall_curve(truth, scores)
    assert pixel_auroc(maps, masks) == pytest.approx(roc_auc_score(truth, scores))
    assert pixel_ap(maps, masks) == pytest.approx(average_precision_score(truth, scores))
    assert pixel_f1_max(maps, masks) == pytest.approx(max(2 * precision * recall / (precision + recall + 1e-30)))


def test_a_small_region_counts_as_much_as_a_large_one() -> None:
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[:10, :10] = mask[19, 19] = True
    found = torch.zeros(20, 20)
    found[:10, :10] = 1
    missed = aupro([found], [mask])
    assert missed == pytest.approx(0.5 + 0.5 * 0.15)
    assert pixel_auroc([found], [mask]) > 0.99


def test_regions_that_touch_at_a_corner_are_one() -> None:
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[1, 1] = mask[2, 2] = mask[2, 3] = True
    found = torch.zeros(6, 6)
    found[1, 1] = 1.0
    assert aupro([found], [mask]) == pytest.approx(1 / 3 + 2 / 3 * 0.15)


@pytest.mark.parametrize("metric", LEVELS)
def test_one_class_alone_cannot_be_measured(metric: Callable[[Tensor, Tensor], float]) -> None:
    with pytest.raises(ValueError, match=r"both 0 \(normal\) and 1 \(anomalous\), got \[1\] in 3 images"):
        metric(torch.ones(3), torch.rand(3, generator=torch.Generator()))
    with pytest.raises(ValueError, match="not finite"):
        metric(LABELS, SCORES * math.nan)
    with pytest.raises(ValueError, match=r"\(N,\) each"):
        metric(LABELS, SCORES[1:])


@pytest.mark.parametrize("metric", PIXELS)
def test_masks_without_anomalous_or_normal_pixels_cannot_be_measured(
    metric: Callable[[list[Tensor], list[Tensor]], float],
) -> None:
    maps, masks = drawn(0)
    with pytest.raises(ValueError, match="no anomalous pixel in 4 masks"):
        metric(maps, [torch.zeros_like(mask) for mask in masks])
    with pytest.raises(ValueError, match="no normal pixel"):
        metric(maps, [torch.ones_like(mask) for mask in masks])
    with pytest.raises(ValueError, match="4 maps and 3 masks"):
        metric(maps, masks[1:])
    with pytest.raises(ValueError, match=r"map 0 .* \(3, 3\) and"):
        metric([torch.zeros(3, 3), *maps[1:]], masks)
    with pytest.raises(ValueError, match="map 3 is not finite"):
        metric([*maps[:3], maps[3] / 0], masks)


@pytest.mark.parametrize("limit", [0.0, 1.1, -1.0])
def test_the_limit_of_false_alarms_is_a_rate(limit: float) -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\], got"):
        aupro(*drawn(0), limit=limit)
