"""Which augmentation suits a category: what its own references say of how their parts lie.

Screws lie at any angle, solar cells do not. Where some turned view of one reference is more like another reference,
patch by patch in place, than any view that is merely tilted, parts like these are turned, and turned photos of them are
normal.
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import product

import platformdirs
import torch
from torch import Tensor

import normalgen
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.augment import DEGREES, LIGHT, SCALE, augment_each
from normalgen.images.images import Images
from normalgen.images.turning import Turnable, turnables
from normalgen.io.cache import KeptFiles
from normalgen.io.progress import Watch, silent
from normalgen.io.records import parse
from normalgen.io.rng import generator
from normalgen.references import References
from normalgen.settings.presets import Augment, Preset, change

__all__ = ["settled", "suited"]

LOOKED_AT, VIEWS, GRID = 4, 12, 16
NEARER = 0.95
"""Turned views must come nearer than this times the distance of tilted ones."""
CHOICES: tuple[Augment, ...] = ("safe", "turned")


def settled(preset: Preset, references: References, watch: Watch = silent) -> Preset:
    """The preset, with the augmentation that suits the references in the place of "auto".

    `watch` receives the progress of "augmentation", per reference and choice.
    """
    if preset.augment != "auto":
        return preset
    count = len(references.pieces)
    few = references.pieces.take(sorted({place * count // LOOKED_AT for place in range(LOOKED_AT)}))
    files = KeptFiles(platformdirs.user_cache_path("normalgen") / "augment", "*.json")
    path = files.folder / _file(few, preset.size)
    found = files.read(path, _choice)
    if found is None:
        found = suited(turnables(few, preset.size), watch)
        files.keep(path, json.dumps(found).encode())
    return change(preset, augment=found)


def suited(references: Sequence[Turnable], watch: Watch = silent) -> Augment:
    """ "turned" where a few references show parts that lie so, else "safe".

    Each is held against views of the others. One reference shows nothing of that.
    """
    if len(references) < 2:
        return "safe"
    features = CnnFeatures()
    known = features.patches(torch.stack([photo.photo for photo in references]).float() / 255, GRID)
    views: dict[Augment, list[Tensor]] = {kind: [] for kind in CHOICES}
    for done, (kind, index) in enumerate(product(CHOICES, range(len(references)))):
        watch("augmentation", done, len(CHOICES) * len(references))
        views[kind].append(_views(features, references[index], index, kind))
    watch("augmentation", len(CHOICES) * len(references), len(CHOICES) * len(references))
    tilted, turned = (_apart(known, views[kind]) for kind in CHOICES)
    return "turned" if turned < NEARER * tilted else "safe"


def _views(features: CnnFeatures, photo: Turnable, place: int, kind: Augment) -> Tensor:
    """Patches (VIEWS, grid, grid, C) of augmentations of one reference."""
    draws = [generator("suited", place, i) for i in range(VIEWS)]
    return features.patches(augment_each([photo] * VIEWS, kind, draws), GRID)


def _apart(known: Tensor, views: list[Tensor]) -> float:
    """How far a reference is, patch by patch in place, from the likest view of any other; mean over references."""
    found = []
    for place, one in enumerate(known):
        others = torch.cat([each for i, each in enumerate(views) if i != place])
        found.append(float((others - one).norm(dim=-1).mean((1, 2)).amin()))
    return sum(found) / len(found)


def _choice(data: bytes) -> Augment:
    known: dict[str, Augment] = {kind: kind for kind in CHOICES}
    return known[parse(data, str)]


def _file(images: Images, size: int) -> str:
    """The name of the cached file: the same photos always say the same to the same version."""
    deciding = [normalgen.__version__, "embedded", "whole", GRID, NEARER, VIEWS, DEGREES, SCALE, LIGHT]
    key = json.dumps([images.hashes(), images.crop, size, deciding])
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
