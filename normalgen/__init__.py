"""Anomaly-free images for few-shot visual anomaly detection.

    k normal photos - references -> customize -> NormalModel -> fill_pool -> Pool (Hugging Face data set)
    query photos - personalize(NormalModel) -> twins -> triplet(query | twin, query | references + pool) -> report

Rooms, each importing only those above it:

    errors         the errors that a user can cause
    settings/      every setting with its range, help and option; named presets; the prompts
    io/            atomic files, run folders, caches; random numbers from keys; progress; provenance
    images/        photos: lazy, safely decoded, augmented; drawn defects
    data/          categories and queries; readers/: one file per published data set
    references     the k shots and their manifest
    features/      network features: patch vectors, image vectors; the nearest patch in a memory
    diffusion/     schedule, sampler, codec, model, training, Stable Diffusion; tiny/: the small bundled model
    customizing/   DreamBooth: references in, NormalModel out
    quality/       measures of images, the gate for candidates of a pool, the screening of unlabeled photos
    pool/          the data set on disk: planned, drawn, judged and written by one or more processes
    detectors/     the contract, metrics, thresholds, what all detectors share; one_to_normal/: twins, triplet, text
    evaluation/    detectors x shots x seeds x arms, one file per cell; tables, statistics and figures of the cells
    report/        pages and pictures of detections, twins and results
    pipeline/      references -> model -> pool -> detector, each step resumable; called by the commands
    cli/           one file per command: it parses, calls one function and prints

Other published detectors are in baselines/, one per file, imported as normalgen.baselines.
"""

from importlib import import_module

TYPE_CHECKING = False  # as in typing, whose import alone would take as long as all the rest
if TYPE_CHECKING:
    from typing import Any

    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.diffusion.model import NormalModel
    from normalgen.errors import NormalgenError
    from normalgen.images.images import Images
    from normalgen.pipeline.detect import detect
    from normalgen.pipeline.make import customize, generate_pool
    from normalgen.pipeline.personalize import personalize
    from normalgen.pipeline.screening import screen
    from normalgen.pipeline.suggest import suggest
    from normalgen.pool.dataset import Pool
    from normalgen.references import References

__all__ = [
    "Images",
    "NormalModel",
    "NormalgenError",
    "OneToNormal",
    "Pool",
    "References",
    "customize",
    "detect",
    "generate_pool",
    "personalize",
    "screen",
    "suggest",
]

__version__ = "0.1.0"

_HOMES = {
    "Images": "images.images",
    "NormalModel": "diffusion.model",
    "NormalgenError": "errors",
    "OneToNormal": "detectors.one_to_normal.detector",
    "Pool": "pool.dataset",
    "References": "references",
    "customize": "pipeline.make",
    "detect": "pipeline.detect",
    "generate_pool": "pipeline.make",
    "personalize": "pipeline.personalize",
    "screen": "pipeline.screening",
    "suggest": "pipeline.suggest",
}


def __getattr__(name: str) -> "Any":
    """Public names are imported when they are first used, so that `import normalgen` takes no time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
