"""What fits learned, on disk: the same references, pool, model and settings are learned from once."""

import hashlib
import json
from dataclasses import fields
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

import normalgen
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.one_to_normal.saved_detector import SavedDetector
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.diffusion.parts import digest
from normalgen.features.open_features import opened
from normalgen.io.atomic import json_bytes
from normalgen.io.cache import KeptFiles
from normalgen.io.progress import Watch, silent
from normalgen.io.records import parse
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["fit_once"]

FOLDER, LIMIT, LARGEST = "fits", 1_000_000_000, 250_000_000
"""Bytes of all fits, and of the largest that is kept."""
RECORD = "record"
UNDECIDING = ("model", "cache", "kept", "text", "fitted_")
"""Fields of a detector that decide nothing, or that the key holds in another form."""


def fit_once(
    detector: OneToNormal, references: References, pool: Pool | None, *, size: int = 0, watch: Watch = silent
) -> OneToNormal:
    """Return the detector, fitted as `fit` does it; what an equal fit learned is read from the detector's cache.

    The key is a digest of all that a fit depends on: references, crop, tile and noun; the pool's images in order; the
    model; every setting; features, device, versions and this package's code.
    """
    if detector.cache is None:
        return detector.fit(references, pool, size=size, watch=watch)
    files = KeptFiles(detector.cache / FOLDER, "*.safetensors", LIMIT)
    path = files.folder / f"{_key(detector, references, pool, size)}.safetensors"
    kept = files.read(path, _parse)
    if kept is not None:
        return detector.take_over(*kept, path)
    fitted = detector.fit(references, pool, size=size, watch=watch).fitted_
    if fitted is not None and sum(tensor.nbytes for tensor in fitted.tensors().values()) <= LARGEST:
        record = torch.frombuffer(bytearray(json_bytes(detector.record())), dtype=torch.uint8)
        files.keep(path, save({**fitted.tensors(), RECORD: record}))
    return detector


def _parse(data: bytes) -> tuple[SavedDetector, dict[str, Tensor]]:
    tensors = load(data)
    return parse(tensors.pop(RECORD).numpy().tobytes(), SavedDetector), tensors


def _key(detector: OneToNormal, references: References, pool: Pool | None, size: int) -> str:
    model, names = detector.model, sorted({field.name for field in fields(detector)} - {*UNDECIDING})
    made = [normalgen.__version__, _code(), torch.__version__, opened(detector.network())]
    given = {name: getattr(detector, name) for name in names}
    text = digest([Path(detector.text)]) if detector.text else ""
    twins = [model.category, model.preset.size, Personalizer(model, seed=detector.seed).key] if model else []
    pooled = [pool.rows[0]["category"], pool.images.hashes(), pool.sources(references)] if pool else []
    key = json.dumps([made, given, text, size, references.identity(), twins, pooled])
    return hashlib.sha256(key.encode()).hexdigest()[:40]


@cache
def _code() -> str:
    """Return the digest of this package's code, which differs between the commits of a checkout."""
    return digest(sorted(Path(normalgen.__file__).parent.rglob("*.py")))
