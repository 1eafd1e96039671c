"""Checks all masks before any work that they could spoil."""

from collections.abc import Sequence
from dataclasses import dataclass

from normalgen.data.category import Category, TestImage
from normalgen.errors import DataError
from normalgen.io.progress import Watch, silent

__all__ = ["PIXELS", "MaskCheck", "check_masks", "need_masks"]

PIXELS = 256
"""Width and height at which maps and masks are compared."""


@dataclass(frozen=True)
class MaskCheck:
    """What a look at all masks gives.

    Attributes:
        masks: number of masks.
        problems: one message per anomalous image whose mask is missing, unreadable, empty or of another size.
        regions: number of marked regions.
        thin: how many of them are thinner than half a pixel at `size`.
        large: names of masks that mark more than half of their image.
        size: width and height that the masks are squashed to.
    """

    masks: int
    problems: tuple[str, ...]
    regions: int
    thin: int
    large: tuple[str, ...]
    size: int

    @property
    def unusable(self) -> str:
        """How many masks cannot be used."""
        count = len(self.problems)
        return f"{count} {'mask' if count == 1 else 'masks'} cannot be used"

    @property
    def lines(self) -> list[str]:
        """Sentences on what cannot be measured, and on what is only just seen; none for a set without masks."""
        lines = []
        if self.masks and self.problems:
            first = self.problems[0]
            lines.append(f"{self.unusable}, so pixels are not measured (images are); the first: {first}")
        if self.thin:
            lines.append(
                f"{self.thin} of {self.regions} marked regions cover no pixel by half at {self.size} px; each keeps "
                "the pixels that it covers most"
            )
        if self.large:
            first = self.large[0]
            lines.append(
                f"{len(self.large)} of {self.masks} masks mark more than half of their image; is {first} inverted?"
            )
        return lines


def check_masks(tests: Sequence[TestImage], size: int = PIXELS, watch: Watch = silent, stage: str = "") -> MaskCheck:
    """Read every mask, and compare it with its image; of images only the headers are read."""
    anomalous = [test for test in tests if test.label]
    problems, large, regions, thin = [], [], 0, 0
    for index, test in enumerate(anomalous):
        try:
            marks = test.marks(size)
            regions, thin = regions + marks.regions, thin + marks.thin
            large += [test.mask.source] if test.mask and marks.mask.mean() > 0.5 else []
        except DataError as error:
            problems.append(str(error))
        if stage:
            watch(stage, index + 1, len(anomalous))
    masks = sum(test.mask is not None for test in anomalous)
    return MaskCheck(masks, tuple(problems), regions, thin, tuple(large), size)


def need_masks(categories: Sequence[Category], size: int, watch: Watch = silent) -> MaskCheck:
    """Check the masks of all categories, all of which are needed.

    Raises:
        DataError: some cannot be used; says how many, and why the first.
    """
    tests = [test for category in categories for test in category.tests]
    checked = check_masks(tests, size, watch, "check masks")
    if checked.problems:
        raise DataError(f"{checked.unusable}; the first: {checked.problems[0]}")
    return checked
