"""Checks which settings of One-to-Normal work together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from normalgen.detectors.one_to_normal.triplet import WEIGHTS, Choice
from normalgen.errors import DataError, PresetError
from normalgen.features.open_features import check_features
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = ["check_category", "check_options", "described"]


def check_options(features: str, branches: Sequence[str], choice: str, text: str) -> None:
    """Check the settings, without loading a network.

    Args:
        features: name of the features.
        branches: some of "p", "n", "text".
        choice: which candidate twins to compare with.
        text: file of text maps; "" for none.

    Raises:
        PresetError: unknown features, branch or choice; no branch; branch text without text maps, or text maps without
            branch text.
    """
    if choice not in get_args(Choice):
        raise PresetError(f"choice must be one of {', '.join(get_args(Choice))}, got {choice!r}")
    unknown = sorted(set(branches) - set(WEIGHTS))
    if unknown or not branches:
        raise PresetError(f"branches must be some of {', '.join(WEIGHTS)}, got {','.join(branches) or 'none'}")
    if "text" in branches and features.partition(":")[0] != "clip":
        raise PresetError(
            f"the branch text needs features with a text side, got {features!r}; use --features clip with --text FILE "
            "(made by normalgen train-text), or leave text out: --branches p,n"
        )
    check_features(features)
    if text and "text" not in branches:
        raise PresetError("--text only takes effect with the branch text; add --branches p,n,text")
    if "text" in branches and not text:
        raise PresetError("the branch text needs text maps; add --text FILE, made by normalgen train-text")


def check_category(references: References, model: "NormalModel | None", pool: Pool | None) -> None:
    """Check that model and pool, if given, have the references' category.

    Raises:
        DataError: one has another category.
    """
    pooled = pool.rows[0]["category"] if pool is not None and len(pool) else None
    for name, category in (("model", model.category if model else None), ("pool", pooled)):
        if category not in (None, references.category):
            raise DataError(
                f"the {name} is for {category!r}, the references show {references.category!r}; "
                f"use a {name} made from these references"
            )


def described(settings: Mapping[str, Any]) -> list[str]:
    """Return lines on how a detector with these settings judges, and on the unit of its scores."""
    branches, fusion, images = ",".join(settings["branches"]), settings["fusion"], settings["bank_images"]
    lines = [f"branches {branches}, {settings['features']} features, {fusion} fusion, bank of {images} images"]
    if fusion == "calibrated":
        unit = "in deviations from normal; each branch's column uses its own map"
        lines.append(f"score: the highest 1 % of the fused map, {unit}")
    return lines
