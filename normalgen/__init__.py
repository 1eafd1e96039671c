"""Anomaly-free images for few-shot visual anomaly detection.

    k normal photos - references -> customize -> NormalModel -> generate_pool -> Pool (Hugging Face data set)
    query photos - personalize(NormalModel) -> twins -> triplet(query | twin, query | references + pool) -> report

Rooms, each importing only those above it:

    errors         the errors a user can cause
    settings/      presets by name, their fields, the prompts
    io/            whole files, run folders, caches; random numbers from keys; progress; provenance
    images/        photos: lazy, safely decoded, augmented; defects drawn on them
    references     the k shots and their manifest
    data/          categories and queries; readers/: one file per published data set
    features/      what networks see: patch vectors, image vectors; the nearest patch in a memory
    diffusion/     schedule, sampler, codec, model, training, Stable Diffusion; tiny/: the small bundled model
    customize/     DreamBooth: references in, NormalModel out
    quality/       measures of images, and the gate that decides which enter a pool
    pool/          the data set on disk: planned, drawn, judged, written, by one process or several
    detectors/     the contract, metrics, thresholds; one_to_normal/: twins, triplet, calibration, text
    evaluation/    detectors x shots x seeds x arms, a file per cell; tables, statistics and figures of the cells
    report/        pages and pictures: a detection, twins, results
    pipeline       references -> model -> pool -> detector, each step resumable
    cli/           one file per command: parses, calls one function, prints
"""

__version__ = "0.1.0"
