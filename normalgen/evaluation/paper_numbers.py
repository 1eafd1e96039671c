"""The numbers that One-to-Normal's paper reports (Li et al., NeurIPS 2024), as data: published, not re-run by us.

Image AUROC and average precision (the paper's AUPRC) in percent, mean and spread of five draws of shots. The paper does
not define its spread over several categories, nor name the photos of its shots.
"""

import re
from dataclasses import dataclass

__all__ = [
    "MARK",
    "NOTES",
    "PUBLISHED",
    "REMARKS",
    "Published",
    "paper_categories",
    "published",
    "published_name",
]

MARK = "published, not re-run"
METHOD, COPIED = "One-to-Normal", "InCTRL, copied by the paper"
BACKBONE, COPIED_BACKBONE = "CLIP ViT-L/14, 240 px; Stable Diffusion 1.5", "CLIP ViT-B/16+, 240 px"
NOTES = (
    f"Published numbers are the paper's own ({MARK}): image AUROC in percent, {BACKBONE}. They were measured with "
    "other weights, other shots and perhaps other splits than ours: a target, not a comparison.",
    "The paper's rows of other methods on VisA are those of the InCTRL paper to the digit, so very likely all of its "
    "baseline rows are copied, with another backbone (CLIP ViT-B/16+) and other shots; only those on OCT2017 and RESC "
    "must be its authors' own.",
)
SUSPECT = "suspect: the AUPRC of 4 shots is far above that of 8"


@dataclass(frozen=True)
class Published:
    """One published row.

    Attributes:
        dataset: as the paper names it.
        k: shots.
        auroc: image AUROC, percent.
        spread: of the AUROC over five draws; None if not available.
        auprc: percent.
        note: a caveat.
        method: the method that was measured.
        source: table or figure of the paper.
        backbone: the networks that it was measured with.
    """

    dataset: str
    k: int
    auroc: float
    spread: float | None
    auprc: float
    note: str = ""
    method: str = METHOD
    source: str = "Tables 1-3"
    backbone: str = BACKBONE


CATEGORIES = {
    "MVTec": 15,
    "VisA": 12,
    "KSDD": 1,
    "AFID": 1,
    "ELPV": 1,
    "OCT2017": 1,
    "BrainMRI": 1,
    "HeadCT": 1,
    "RESC": 1,
    "MNIST": 10,
    "CIFAR-10": 10,
}
ALIASES = {"mvtecad": "MVTec", "sdd": "KSDD", "kolektorsdd": "KSDD", "aitex": "AFID"}

PUBLISHED = (
    Published("MVTec", 2, 95.1, 0.9, 97.3),
    Published("MVTec", 4, 95.6, 1.2, 97.8),
    Published("MVTec", 8, 96.2, 0.8, 98.9),
    Published("VisA", 2, 87.2, 1.4, 89.1),
    Published("VisA", 4, 88.6, 1.6, 90.7),
    Published("VisA", 8, 89.9, 1.3, 91.0),
    Published("KSDD", 2, 96.8, 1.5, 91.6),
    Published("KSDD", 4, 97.8, 0.8, 92.4),
    Published("KSDD", 8, 98.4, 0.7, 92.7),
    Published("AFID", 2, 78.3, 1.7, 53.6),
    Published("AFID", 4, 82.6, 0.7, 57.9),
    Published("AFID", 8, 84.7, 0.9, 63.3),
    Published("ELPV", 2, 85.6, 0.5, 92.0),
    Published("ELPV", 4, 87.3, 0.8, 92.8),
    Published("ELPV", 8, 90.6, 0.9, 94.1),
    Published("OCT2017", 2, 96.7, 0.9, 99.0),
    Published("OCT2017", 4, 99.1, 1.2, 99.5),
    Published("OCT2017", 8, 99.3, 1.5, 99.7),
    Published("BrainMRI", 2, 97.1, 1.4, 99.3),
    Published("BrainMRI", 4, 98.2, 1.3, 99.6),
    Published("BrainMRI", 8, 98.6, 0.7, 99.6),
    Published("HeadCT", 2, 94.2, 1.1, 98.6),
    Published("HeadCT", 4, 94.7, 0.6, 99.0),
    Published("HeadCT", 8, 94.8, 0.6, 99.1),
    Published("RESC", 2, 92.2, 0.8, 84.3),
    Published("RESC", 4, 94.6, 1.3, 93.2, SUSPECT),
    Published("RESC", 8, 95.2, 1.4, 87.6),
    Published("MNIST", 2, 92.6, 0.5, 98.9),
    Published("MNIST", 4, 92.9, 0.7, 99.0),
    Published("MNIST", 8, 93.6, 0.2, 99.5),
    Published("CIFAR-10", 2, 94.1, 0.2, 99.3),
    Published("CIFAR-10", 4, 94.6, 0.2, 99.3),
    Published("CIFAR-10", 8, 94.9, 0.1, 99.5),
    Published("VisA", 2, 85.8, None, 87.7, method=COPIED, backbone=COPIED_BACKBONE),
    Published("VisA", 4, 87.7, None, 90.2, method=COPIED, backbone=COPIED_BACKBONE),
    Published("VisA", 8, 88.7, None, 90.4, method=COPIED, backbone=COPIED_BACKBONE),
)

# Data set, source and text of results outside the main tables: ablations and gains.
REMARKS = (
    (
        "MVTec",
        "Table 4",
        "8 shots, AUROC by branches: one alone 91.8 / 93.1 / 93.7, pairs 95.8 / 96.0, all 96.2; which row is which "
        "branch is not certain",
    ),
    ("KSDD", "Table 4", "8 shots: a pair of branches is best, AUROC 98.6"),
    ("MVTec", "Table 5", "prompt ablation: AUROC 95.6 -> 96.2"),
    ("MVTec", "Figure 4", "RegAD with a pool: AUROC +6.8 / +8.7 / +10.2 for 2 / 4 / 8 shots"),
    ("OCT2017", "Figure 4", "with a pool: PatchCore AUROC +10.9, RegAD +8.6; shots not at hand"),
)


def published_name(dataset: str) -> str | None:
    """The paper's name of a data set, such as "BrainMRI" for "brain-mri"; None if the paper does not use it."""
    plain = re.sub(r"[^a-z0-9]", "", dataset.lower())
    names = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in CATEGORIES} | ALIASES
    return names.get(plain)


def paper_categories(dataset: str) -> int | None:
    """How many categories the paper counts in one of our data sets; None if the paper does not use it."""
    name = published_name(dataset)
    return CATEGORIES[name] if name else None


def published(dataset: str, k: int, method: str = METHOD) -> Published | None:
    """The paper's row for a data set, under our name or the paper's, at k shots; None if there is none."""
    wanted = (published_name(dataset), k, method)
    return next((row for row in PUBLISHED if (row.dataset, row.k, row.method) == wanted), None)
