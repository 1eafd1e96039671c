"""The table of what unlabeled photos gain that the screening keeps."""

from typing import Any

from normalgen.evaluation.cells import Frame, optional, plain
from normalgen.evaluation.contrasts import POINTS, STAR_NOTE, contrasts
from normalgen.evaluation.statistics import share
from normalgen.evaluation.table_format import Table, build, span, tuning_note

__all__ = ["unlabeled"]

PAIRS = (
    ("unlabeled", "augmented"),
    ("unlabeled", "unlabeled-blind"),
    ("unlabeled", "unlabeled-softpatch"),
    ("unlabeled-oracle", "augmented"),
    ("unlabeled", "none"),
    ("unlabeled-blind", "none"),
)
SHARE = ("", "share of oracle")
HEADS = [*(("", " - ".join(pair)) for pair in PAIRS), SHARE]
LABELS = ["detector", "unlabeled photos", "data set", "k", "kept"]
NOTE = (
    "24@0.1: 24 unlabeled photos, a tenth of them anomalous. unlabeled: those that the screening keeps join the "
    "references. blind: all of them. softpatch: all, without the 15 % of patches that SoftPatch leaves out. oracle: "
    "exactly the good ones. augmented holds as many images as unlabeled; the others hold as many as they do, and are "
    "compared all the same. kept: how many unlabeled holds. share of oracle: "
    "(unlabeled - augmented) / (unlabeled-oracle - augmented), a ratio of means. The anomalous ones are measured with "
    "no arm."
)


def unlabeled(cells: Frame) -> list[Table]:
    """The table of paired differences between arms of unlabeled photos, by stream; empty without such cells."""
    own = plain(cells)
    parts = [_compared(own, stream) for stream in sorted(set(own.stream) - {""}, key=_rank)]
    numbers = optional("pandas").concat([part for part in parts if len(part)]) if any(map(len, parts)) else None
    if numbers is None:
        return []
    numbers = numbers.assign(row=numbers.groupby(["unlabeled photos", "row"], sort=False).ngroup())
    notes = [NOTE, POINTS, *[STAR_NOTE] * (not numbers.complete.all()), *tuning_note(numbers)]
    heads = [head for head in HEADS if head in set(numbers["head"])]
    return build("unlabeled", "What unlabeled photos gain", numbers, LABELS, heads, notes, ["pairs", "seeds"])


def _compared(cells: Frame, stream: str) -> Frame:
    """The differences between the arms beside one stream, named by their kinds, and the share of the oracle's gain."""
    own = cells[(cells.stream == stream) | (cells.arm == "none")]
    own = own.assign(arm=own.arm_kind)
    result = contrasts(own, PAIRS).assign(**{"unlabeled photos": stream})
    shares = [_share(own, rows.iloc[0]) for _, rows in result.groupby("row")]
    result = optional("pandas").concat([result, *shares])
    kept = {row: _kept(_scope(own, rows.iloc[0])) for row, rows in result.groupby("row")}
    return result.assign(kept=result.row.map(kept))


def _share(cells: Frame, first: Any) -> Frame:
    """The number of the share in the row of `first`; empty where it cannot be told."""
    own = _scope(cells, first)
    result = share(own, "unlabeled", "unlabeled-oracle", "augmented")
    if result is None:
        return optional("pandas").DataFrame()
    value, low, high = result
    between = "?" if low is None or high is None else f"{100 * low:.0f}, {100 * high:.0f}"
    numbers = {"head": SHARE, "arm": SHARE[1], "text": f"{100 * value:.0f} % [{between}]", "metric": SHARE[1]}
    return optional("pandas").DataFrame([{**first, **numbers, "value": value, "low": low, "high": high}])


def _scope(cells: Frame, first: Any) -> Frame:
    """The cells that the row of `first` is about."""
    own = cells[(cells.detector == first.detector) & (cells.role == first.role)]
    return own[((own.dataset == first.dataset) | (first.dataset == "")) & ((own.k == first.k) | (first.k != first.k))]


def _kept(cells: Frame) -> str:
    counts = cells["counts.extra"][cells.arm == "unlabeled"]
    return span(counts) if len(counts) else "-"


def _rank(stream: str) -> tuple[float, ...]:
    return tuple(float(part) for part in stream.split("@"))
