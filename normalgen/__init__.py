"""Anomaly-free images for few-shot visual anomaly detection.

    k normal images - references -> customize -> NormalModel -> generate_pool -> Pool (Hugging Face data set)

Rooms, each importing only those above it:

    errors         the errors a user can cause
    seeds          random numbers from keys alone
    files, watch   whole files; progress
    prompts        templates and state words, as data
    presets        every setting, by name
    images         lazy, native resolution, safely decoded
    augment        what a reference may undergo
    record         locks, and settings that later runs must agree with
    references     the k shots and their manifest
    data/          one reader a published data set
    features/      what networks see: patches, images, statistics
    memory         distances to the nearest normal patch
    diffusion/     schedule, codec, spectrum, words, denoiser, losses, lora, parts, model, training, the bundled prior
    batches        what customization learns from: augmented references, class images
    customize      references -> NormalModel
    trial          does a preset work on this machine
    defects        drawn ones, to check with
    quality/       measures, and the gate: which candidates stay, and why the others went
    card, pool     the data set on disk
    report         pictures for people
    cli/           parses, calls one function, shows
"""

__version__ = "0.1.0"
