"""What the records of a pool hold."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from normalgen.data.manifest import Manifest, ManifestRow
from normalgen.settings.configs import Augment

__all__ = ["CandidateRow", "GateRecord", "ImageRow", "PoolRun", "PoolSettings", "RepairedRow"]


class ImageRow(TypedDict):
    """A row of `metadata.jsonl`: one image of the pool; more columns are allowed."""

    file_name: str
    category: str
    index: int
    mode: str
    reference: str
    reference_sha256: NotRequired[str]


class CandidateRow(TypedDict):
    """A row of `candidates.jsonl`: one candidate, kept or rejected.

    `image` and `row` are the SHA-256 of a kept candidate's file and of its line in `metadata.jsonl`.
    """

    index: int
    kept: bool
    reason: str
    numbers: NotRequired[dict[str, float]]
    image: NotRequired[str]
    row: NotRequired[str]


class GateRecord(TypedDict):
    """`gate.json`: the gate's cut-offs, and what too few references leave open."""

    limits: dict[str, float]
    unknown: list[str]


PoolSettings = TypedDict(
    "PoolSettings",
    {
        "preset": str,
        "size": int,
        "augment": Augment,
        "pool.strength": float,
        "category": str,
        "object": str,
        "references": list[str],
        "crop": str | list[int] | None,
        "seed": int,
        "photos": NotRequired[str | None],
        "repaired": NotRequired[str | None],
        "model": str,
    },
)
"""Everything that decides a pool; `photos` and `repaired` are digests of those that joined, as they are or repaired."""


class RepairedRow(TypedDict):
    """A repaired photo: the photo that it was, and the share of it that was repaired."""

    name: str
    sha256: str
    share: float


class PoolRun(TypedDict):
    """`run.json`: how a pool was made; `photos` are those that joined it as they are, `repaired` the repaired ones."""

    settings: PoolSettings
    preset: dict[str, Any]
    references: Manifest
    photos: NotRequired[list[ManifestRow]]
    repaired: NotRequired[list[RepairedRow]]
