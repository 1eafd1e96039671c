"""What can be wrong before any work: paths that are not there, before torch is loaded; steps that cannot be made."""

from pathlib import Path

from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.settings.configs import least_strength, steps_made
from normalgen.settings.presets import Preset

__all__ = [
    "need",
    "need_apart",
    "need_distilled",
    "need_photos",
    "need_prior",
    "need_queries",
    "need_steps",
    "need_twins",
]


def need(path: Path | None, message: str) -> None:
    """See that what is named is there; whether it can be read is told when it is read.

    Raises:
        DataError: `message`.
    """
    try:
        if path is not None:
            path.stat()
    except FileNotFoundError:
        raise DataError(message) from None
    except OSError:
        pass


def need_photos(folder: Path | None, data: Path | None, manifest: Path | None) -> None:
    """See that the photos' folder, the root of categories and the manifest are there, where they are named.

    Raises:
        DataError: one is not.
    """
    need(manifest, f"manifest {manifest} cannot be read (No such file or directory)")
    need(folder, f"{folder} does not exist; name a folder of normal images")
    if folder is None:
        need(data, f"the data folder {data} does not exist; name the folder that holds CATEGORY/train/good")


def need_queries(path: Path) -> None:
    """See that there is something to judge.

    Raises:
        DataError: nothing is there.
    """
    need(path, f"{path} does not exist; name a photo, a folder of photos, or one with labelled sub-folders")


def need_apart(queries: Path, folder: Path) -> None:
    """See that the photos to be judged are not results that would be replaced.

    Raises:
        DataError: they lie in the folder of results.
    """
    if folder.resolve() in (queries.resolve(), *queries.resolve().parents):
        raise DataError(f"{queries} lies in {folder}, where results are written; choose another --out")


def need_steps(settings: Preset) -> None:
    """See that a pool's images go through as many steps as --explicit-steps wants.

    Raises:
        PresetError: fewer.
    """
    restores, wanted = settings.mix > 0, settings.explicit_steps
    made = steps_made(settings.sampling_steps, settings.strength if restores else 1)
    if settings.draws and wanted > made:
        of = f"--strength {settings.strength:g} of " if restores else ""
        raise PresetError(
            f"--explicit-steps must be at most {made}, the steps that {of}--sampling-steps {settings.sampling_steps} "
            f"makes, got {wanted}; give fewer, 0 for all of them, or {'a larger --strength or ' if restores else ''}"
            "more --sampling-steps"
        )


def need_prior(settings: Preset, class_images: int | None) -> None:
    """See that class images that were asked for count.

    Raises:
        PresetError: they have no weight.
    """
    if class_images and not settings.prior_weight:
        raise PresetError("--class-images have no weight in the loss: give --prior-weight, too (1 is DreamBooth's)")


def need_twins(settings: Preset) -> None:
    """See that a twin goes through a step, and through as many as --steps wants.

    Raises:
        PresetError: none, or fewer.
    """
    steps, strength = settings.sampling_steps, settings.twin_strength
    try:
        made = steps_made(steps, strength)
    except PresetError:
        raise PresetError(
            f"--strength must be at least {least_strength(steps):g}, one of the {steps} steps that the model samples "
            f"in, got {strength:g}: the twin would be the photo itself"
        ) from None
    if settings.twin_steps > made:
        raise PresetError(
            f"--steps must be at most {made}, the steps that --strength {strength:g} of {steps} makes, got "
            f"{settings.twin_steps}; give fewer, 0 for all of them, or a larger --strength"
        )


def need_distilled(settings: Preset) -> None:
    """See, on trial, that what --distilled names can be merged into the weights that will be customized.

    Raises:
        MissingWeights: the weights, or it, are not there, or it is not one of them.
        PresetError: the weights take none.
    """
    from normalgen.diffusion.loading import open_parts

    if not settings.distilled or not settings.draws:
        return
    parts = open_parts(settings.weights)
    try:
        parts.merge(Path(settings.distilled))
    except (MissingWeights, PresetError) as error:
        raise type(error)(f"--distilled: {error}") from error
