"""What can be wrong before any work: paths that are not there, options that need others."""

from pathlib import Path

from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.settings.presets import Preset

__all__ = [
    "need",
    "need_apart",
    "need_distilled",
    "need_photos",
    "need_prior",
    "need_queries",
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


def need_prior(settings: Preset, class_images: int | None) -> None:
    """See that class images that were asked for count.

    Raises:
        PresetError: they have no weight.
    """
    if class_images and not settings.train.prior_weight:
        raise PresetError("--class-images have no weight in the loss: give --prior-weight, too (1 is DreamBooth's)")


def need_distilled(settings: Preset) -> None:
    """See, on trial, that what --distilled names can be merged into the weights that will be customized.

    Raises:
        MissingWeights: the weights, or it, are not there, or it is not one of them.
        PresetError: the weights take none.
    """
    from normalgen.diffusion.loading import open_parts

    if not settings.sample.distilled or not settings.draws:
        return
    parts = open_parts(settings.weights)
    try:
        parts.merge(Path(settings.sample.distilled))
    except (MissingWeights, PresetError) as error:
        raise type(error)(f"--distilled: {error}") from error
