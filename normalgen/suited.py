"""Which augmentation suits a category: what its own references say of how their parts lie.

Screws lie at any angle, solar cells do not. Where some turned view of one reference is more like another reference,
patch by patch in place, than any view that is merely tilted, parts like these are turned, and turned photos of them are
normal.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from normalgen.augment import augment_each
from normalgen.features import EmbeddedFeatures
from normalgen.files import write_json
from normalgen.presets import Augment, Preset, change
from normalgen.quality.measures import GRID, patches
from normalgen.references import References
from normalgen.seeds import generator

__all__ = ["settled", "suited"]

LOOKED_AT, VIEWS = 4, 12
NEARER = 0.95
"""Turned views must come nearer than this times the distance of tilted ones."""
TURNS: tuple[Augment, ...] = ("rotations", "turned")


def settled(preset: Preset, references: References) -> Preset:
    """The preset, with the augmentation that suits the references in the place of "auto"."""
    if preset.augment != "auto":
        return preset
    path = _path(references, preset.size)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["augment"]
    except (OSError, ValueError, KeyError):
        found = suited(references.images.pixels(preset.size))
        with suppress(OSError):
            write_json(path, {"augment": found})
    return change(preset, augment=found)


def suited(references: Tensor) -> Augment:
    """ "rotations" or "turned" where references (uint8, (k, 3, S, S)) show parts that lie so, else "safe".

    Of the first four each is held against views of the others. One reference shows nothing of that.
    """
    used = references[:LOOKED_AT].float() / 255
    if len(used) < 2:
        return "safe"
    features = EmbeddedFeatures()
    known = patches(features, used, GRID)
    apart = {kind: _apart(known, [_views(features, one, kind) for one in used]) for kind in ("safe", *TURNS)}
    best = min(TURNS, key=apart.__getitem__)
    return best if apart[best] < NEARER * apart["safe"] else "safe"


def _views(features: EmbeddedFeatures, reference: Tensor, kind: Augment) -> Tensor:
    """Patches (VIEWS, grid, grid, C) of augmentations of a reference."""
    draws = [generator("suited", i) for i in range(VIEWS)]
    return patches(features, augment_each(reference.expand(VIEWS, -1, -1, -1), kind, draws), GRID)


def _apart(known: Tensor, views: list[Tensor]) -> float:
    """How far a reference is, patch by patch in place, from the likest view of any other; mean over references."""
    found = []
    for place, one in enumerate(known):
        others = torch.cat([each for i, each in enumerate(views) if i != place])
        found.append(float((others - one).norm(dim=-1).mean((1, 2)).amin()))
    return sum(found) / len(found)


def _path(references: References, size: int) -> Path:
    """In the user's cache: the same photos always say the same."""
    key = json.dumps([references.images.hashes()[:LOOKED_AT], references.images.crop, size, NEARER, VIEWS])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("normalgen") / "augment" / f"{name}.json"
