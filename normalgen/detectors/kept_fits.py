"""What fits learned, on disk: the same references, pool, model and settings are learned from once."""

import hashlib
import json
from dataclasses import fields
from functools import cache
from inspect import getfile
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors.torch import load, save
from torch import Tensor

import normalgen
from normalgen.detectors.base import JudgingDetector
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.detectors.pixel_detector import PixelDetector
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
UNDECIDING = ("model", "cache", "kept", "text")
"""Fields of a detector that decide nothing, or that the key holds in another form; so do those that a fit sets."""
T = TypeVar("T", bound=JudgingDetector)


def fit_once(detector: T, references: References, pool: Pool | None, *, size: int = 0, watch: Watch = silent) -> T:
    """Return the detector, fitted as `fit` does it; what an equal fit learned is read from the detector's cache.

    The key is a digest of all that a fit depends on: references, crop, tile and noun; the pool's images in order; the
    model; every setting; features, device, versions and this package's code.
    """
    if not isinstance(detector, PixelDetector) or detector.cache is None:
        return detector.fit(references, pool, size=size, watch=watch)
    files = KeptFiles(detector.cache / FOLDER, "*.safetensors", LIMIT)
    path = files.folder / f"{_key(detector, references, pool, size)}.safetensors"
    kept = files.read(path, _parse)
    if kept is not None:
        return cast(T, detector.take_over(*kept, path))
    detector.fit(references, pool, size=size, watch=watch)
    learned, tensors = detector.learned()
    if sum(tensor.nbytes for tensor in tensors.values()) <= LARGEST:
        record = torch.frombuffer(bytearray(json_bytes(learned)), dtype=torch.uint8)
        files.keep(path, save({**tensors, RECORD: record}))
    return cast(T, detector)


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors = load(data)
    return parse(tensors.pop(RECORD).numpy().tobytes(), dict[str, Any]), tensors


def _key(detector: PixelDetector, references: References, pool: Pool | None, size: int) -> str:
    made = [normalgen.__version__, _code(type(detector)), torch.__version__, opened(detector.network())]
    given = {name: getattr(detector, name) for name in _deciding(detector)} | {"kind": type(detector).__name__}
    text, model = getattr(detector, "text", ""), getattr(detector, "model", None)
    text = digest([Path(text)]) if text else ""
    twins = [model.category, model.preset.size, Personalizer(model, seed=detector.seed).key] if model else []
    pooled = [pool.rows[0]["category"], pool.images.hashes(), pool.sources(references)] if pool else []
    key = json.dumps([made, given, text, size, references.identity(), twins, pooled], default=str)
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def _deciding(detector: Any) -> list[str]:
    """Return the names of the settings that decide what a fit learns."""
    return sorted({field.name for field in fields(detector) if field.init} - {*UNDECIDING})


@cache
def _code(kind: type) -> str:
    """Return the digest of this package's code and of a detector's folder; it differs between a checkout's commits."""
    ours, its = Path(normalgen.__file__).parent.rglob("*.py"), Path(getfile(kind)).parent.glob("*.py")
    return digest(sorted({*ours, *its}))
