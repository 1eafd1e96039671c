"""Anomaly-free images for few-shot visual anomaly detection.

    k normal images - references -> customize -> NormalModel -> generate_pool -> Pool (Hugging Face data set)
    query images - personalize(NormalModel) -> twins -> triplet(query | twin, query | references + pool) -> report

Rooms, each importing only those above it:

    errors         the errors a user can cause
    seeds          random numbers from keys alone
    files, watch   whole files; progress
    versions       what a record was written by
    peak_memory    the most memory that a process held
    kept_files     files that can be made again, up to a limit on disk
    prompts        templates and state words, as data
    counts         images of the published data sets, as data
    studies        arms, questions and budgets of evaluations, as data
    settings       every setting of a run
    presets        settings by name, as data
    images         lazy, native resolution, safely decoded
    augment        what a reference may undergo
    record         locks, and settings that later runs must agree with
    references     the k shots and their manifest
    outputs        folders of results that a later run replaces
    data/          one reader a published data set
    features/      what networks see: patches, images, statistics
    text           WinCLIP's sentences, and linear maps from patches to them
    text_training  those maps, learnt from marked images
    memory         distances to the nearest normal patch
    quality/       measures, and the gate: which candidates stay, and why the others went
    suited         which augmentation suits the references
    diffusion/     schedule, codec, spectrum, words, denoiser, losses, lora, parts, model, training, the bundled prior
    batches        what customization learns from: augmented references, class images
    customize      references -> NormalModel
    trial          does a preset work on this machine
    defects        drawn ones, to check with
    card, pool     the data set on disk
    metrics        AUROC, average precision
    personalize    each query's normal twin
    triplet        query against twin, bank and text; fusion
    shared_banks   distances to parts of a bank, kept for other banks
    branches       the networks that look, and what each branch makes of it
    usual          what is usual: floors learnt from left-out references
    detector       what every detector is
    fitted         what the triplet detector learns, as a file
    one_to_normal  the triplet detector
    threshold      from scores to verdicts, by conformal prediction
    self_test      a proxy AUROC from drawn defects
    queries        photos to be judged
    report         the contact sheet of a pool
    pages/         pictures and the page of a detection
    results/       what many evaluations say together: tables, figures, a page
    detection      a run of detection as files
    twin_files     a run of personalization as files
    evaluation/    detectors x shots x seeds x banks on labelled data, a file a cell
    cli/           parses, calls one function, shows
"""

__version__ = "0.1.0"
