"""Which augmentation suits a category: what its own references say of how their parts lie.

Screws lie at any angle, solar cells do not. A reference is left out; where turned ones of the others bring its patches
nearer than merely tilted ones do, parts like these are turned, and turned photos of them are normal.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import platformdirs
from torch import Tensor

from normalgen.augment import augment_each
from normalgen.features import EmbeddedFeatures
from normalgen.files import write_json
from normalgen.presets import Augment, Preset, change
from normalgen.quality.measures import GRID, coverage, patches
from normalgen.references import References
from normalgen.seeds import generator

__all__ = ["settled", "suited"]

LOOKED_AT, VIEWS = 4, 12
GAIN = 1.5
"""How many times as much of the distance a kind must close as `safe` does, to be chosen."""
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

    Each of the first four is left out once. One reference shows nothing of that.
    """
    used = references[:LOOKED_AT].float() / 255
    if len(used) < 2:
        return "safe"
    closed = {kind: _closed(used, kind) for kind in ("safe", *TURNS)}
    best = max(TURNS, key=closed.__getitem__)
    return best if closed[best] > GAIN * max(closed["safe"], 0.0) else "safe"


def _closed(references: Tensor, kind: Augment) -> float:
    """By how much left-out references come nearer to the others when augmentations of those join; mean over all."""
    features = EmbeddedFeatures()
    known = patches(features, references, GRID)
    found = []
    for place in range(len(references)):
        others = [i for i in range(len(references)) if i != place]
        draws = [generator("suited", place, i) for i in range(VIEWS)]
        views = augment_each(references[[others[i % len(others)] for i in range(VIEWS)]], kind, draws)
        found.append(coverage(known[[place]], known[others], patches(features, views, GRID)).closed)
    return sum(found) / len(found)


def _path(references: References, size: int) -> Path:
    """In the user's cache: the same photos always say the same."""
    key = json.dumps([references.images.hashes()[:LOOKED_AT], references.images.crop, size, GAIN, VIEWS])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("normalgen") / "augment" / f"{name}.json"
