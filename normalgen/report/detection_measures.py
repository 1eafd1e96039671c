"""DetectionMeasures the results of a detection run against labels and masks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from normalgen.data.category import TestImage
from normalgen.data.marks import Marks, marks_at, no_marks
from normalgen.data.mask_check import PIXELS
from normalgen.data.queries import GOOD, is_labelled, unmeasured
from normalgen.detectors.metrics import image_ap, image_auroc
from normalgen.errors import DataError
from normalgen.evaluation.measure import measure_pixels
from normalgen.images.crop import Crop, crop_box
from normalgen.images.peek import upright_size

__all__ = ["Confusion", "DetectionMeasures", "Marked", "measure"]

NO_LABELS = "there are no labels of good and of other photos"
NO_MASKS = "there are no masks of labelled anomalous photos"


@dataclass(frozen=True)
class Confusion:
    """How many labelled photos have which verdict; positive means anomalous."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @classmethod
    def of(cls, labels: Sequence[str | None], verdicts: Sequence[str]) -> Self | None:
        """Count the photos with a label and a verdict ("" for none); None if there is none."""
        pairs = zip(labels, verdicts, strict=True)
        counts = Counter((label != GOOD, verdict == "anomalous") for label, verdict in pairs if label and verdict)
        if not counts:
            return None
        return cls(counts[True, True], counts[False, True], counts[False, False], counts[True, False])

    def sentence(self) -> str:
        """Return the counts in words."""
        anomalous, good = self.true_positives + self.false_negatives, self.false_positives + self.true_negatives
        return (
            f"{self.true_positives} of {anomalous} anomalous photos are called anomalous (true positives), and "
            f"{self.false_positives} of {good} good ones (false positives)"
        )


@dataclass(frozen=True)
class DetectionMeasures:
    """How well a run did; a measure that could not be taken is None.

    Attributes:
        auroc: image AUROC of the fused scores.
        average_precision: of the fused scores.
        confusion: the labelled photos at the threshold.
        pixel_auroc: of the fused maps, against masks.
        aupro: of the fused maps, against masks.
        unmeasured: why labelled photos have no AUROC; empty if they have one, or no photo is labelled.
        unmeasured_pixels: why photos with masks have no pixel AUROC; empty if they have one, or there is no mask.
    """

    auroc: float | None = None
    average_precision: float | None = None
    confusion: Confusion | None = None
    pixel_auroc: float | None = None
    aupro: float | None = None
    unmeasured: str = ""
    unmeasured_pixels: str = ""

    def record(self, undecided: str) -> dict[str, Any]:
        """Return the measures as plain data, and under "reasons" why any is None.

        Args:
            undecided: why there are no verdicts; empty if there are.
        """
        why = {"auroc": self.unmeasured or NO_LABELS, "pixel_auroc": self.unmeasured_pixels or NO_MASKS}
        why |= {"average_precision": why["auroc"], "aupro": why["pixel_auroc"], "confusion": undecided or NO_LABELS}
        values = {name: value for name, value in asdict(self).items() if name in why}
        return values | {"reasons": {name: why[name] for name, value in values.items() if value is None}}

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values for people, and why labelled or marked photos have none."""
        facts = [("image AUROC", f"not measured: {self.unmeasured}")] if self.unmeasured else []
        if self.unmeasured_pixels:
            facts.append(("pixel AUROC", f"not measured: {self.unmeasured_pixels}"))
        named = {"image AUROC": self.auroc, "average precision": self.average_precision}
        named |= {"pixel AUROC": self.pixel_auroc, "AUPRO": self.aupro}
        facts += [(name, f"{value:.3f}") for name, value in named.items() if value is not None]
        counts = asdict(self.confusion) if self.confusion else {}
        return facts + [(name.replace("_", " "), str(count)) for name, count in counts.items()]


@dataclass(frozen=True)
class Marked:
    """A judged photo whose label counts.

    Attributes:
        test: the photo, its label and its mask.
        size: width and height, cropped.
        crop: as in `Images`.
    """

    test: TestImage
    size: tuple[int, int]
    crop: str | Crop | None = None

    def marks(self) -> Marks:
        """Return what the mask marks in the cropped photo; raises DataError as `TestImage.marked`."""
        whole = self.size if self.crop is None else upright_size(self.test.image)
        x, y, width, height = crop_box(whole, self.crop, self.test.image.source)
        return marks_at(self.test.marked(whole)[y : y + height, x : x + width], PIXELS)


def measure(
    labels: Sequence[str | None],
    scores: Tensor,
    verdicts: Sequence[str],
    marked: Sequence[Marked],
    maps: Iterable[Tensor],
) -> DetectionMeasures:
    """Return all measures that labels and masks allow.

    Args:
        labels: of all judged photos, None if unknown or ignored.
        scores: (N,) of all judged photos.
        verdicts: of all judged photos.
        marked: the photos with labels.
        maps: the fused map (h, w) of each of `marked`; read only if there are masks.
    """
    auroc, precision = _of_images(labels, scores)
    pixels, reason = _of_pixels(marked, maps)
    return DetectionMeasures(
        auroc,
        precision,
        Confusion.of(labels, verdicts),
        pixels.get("pixel_auroc"),
        pixels.get("aupro"),
        unmeasured(labels),
        reason,
    )


def _of_images(labels: Sequence[str | None], scores: Tensor) -> tuple[float | None, float | None]:
    if not is_labelled(labels):
        return None, None
    known = [i for i, label in enumerate(labels) if label is not None]
    anomalous = torch.tensor([int(labels[i] != GOOD) for i in known])
    return image_auroc(anomalous, scores[known]), image_ap(anomalous, scores[known])


def _of_pixels(marked: Sequence[Marked], maps: Iterable[Tensor]) -> tuple[dict[str, float], str]:
    """Return the pixel metrics, and why there are none; "" also if there are no masks."""
    anomalous = [photo.test for photo in marked if photo.test.label]
    lacking = [test.image.name for test in anomalous if test.mask is None]
    if len(lacking) == len(anomalous):
        return {}, ""
    if lacking:
        return {}, f"{len(lacking)} of {len(anomalous)} anomalous photos have no mask, such as {lacking[0]}"
    none = no_marks(PIXELS)
    try:
        return measure_pixels(maps, [photo.marks() if photo.test.label else none for photo in marked]), ""
    except (DataError, ValueError) as error:
        return {}, str(error)
