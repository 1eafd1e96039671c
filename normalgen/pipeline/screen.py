"""Screens a folder of unlabeled photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.progress import Watch, progress_bars
from normalgen.pipeline.folders import check_apart, target_folder

if TYPE_CHECKING:
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.quality.screen import Screening
    from normalgen.references import References

__all__ = ["ScreenedPhotos", "screen", "screen_into", "unlabeled_photos"]


@dataclass(frozen=True)
class ScreenedPhotos:
    """The result of a screening.

    Attributes:
        images: the screened photos, cropped like the references.
        screening: the verdicts on them.
        passed: why other photos were passed over, by name.
        folder: folder of the page and the table.
    """

    images: "Images"
    screening: "Screening"
    passed: dict[str, str]
    folder: Path

    @property
    def kept(self) -> "Images":
        """The photos that show nothing unusual."""
        return self.images.take(self.screening.of("kept"))

    def sentences(self) -> list[str]:
        """Return what the screening found, for people."""
        return _sentences(self.images, self.screening, self.passed)


def screen(
    photos: "ImageSource",
    references: "References",
    folder: str | Path | None = None,
    *,
    contamination: float | None = None,
    features: str = "embedded",
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> ScreenedPhotos:
    """Decide which unlabeled photos show good parts, from a few references and from each other.

    Args:
        photos: a folder, also with sub-folders, whose names do not matter; PIL images; or an array (N, H, W, 3), uint8.
        references: the k photos of good parts.
        folder: folder for the page and the table; default: screenings/CATEGORY.
        contamination: share of photos to leave out, in [0, 1); None takes it from the photos.
        features: what judges them, as `normalgen.features.open_features` takes it.
        seed: decides which photos all others are compared with, if there are more than 96.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        progress: whether to show a bar.

    Raises:
        DataError: no usable photo; they show another part than the references; or the folder holds other files.
        PresetError: `contamination` is out of range, or the features are unknown.
    """
    from normalgen.io.outputs import see_free
    from normalgen.report.screening_files import MADE_BY

    target = target_folder(folder, "screenings", references.category)
    check_apart(photos, target)
    see_free(target, MADE_BY)
    given = unlabeled_photos(photos, references)
    with progress_bars(progress) as watch:
        return screen_into(target, given, references, contamination, features, seed, pick_device(device), watch)


def unlabeled_photos(source: "ImageSource", references: "References") -> "Images":
    """Return the unlabeled photos, cropped like the references; notes that names of sub-folders do not matter.

    Raises:
        DataError: there are none, or the references are cut into tiles.
    """
    from normalgen.data.queries import find_queries
    from normalgen.images.peek import need_one_header
    from normalgen.images.sources import as_images
    from normalgen.io.notes import note

    if references.tile:
        raise DataError("unlabeled photos are screened whole; leave --tile out, or crop with --crop")
    crop = references.images.crop
    if not isinstance(source, str | Path):
        return as_images(source).cropped(crop)
    queries = find_queries(Path(source), crop)
    need_one_header(queries.images.items)
    if queries.folders:
        note(f"{source}: sub-folders are read, and their names are not used as labels")
    return queries.images


def screen_into(
    folder: Path,
    photos: "Images",
    references: "References",
    contamination: float | None,
    features: str,
    seed: int,
    device: str,
    watch: Watch,
) -> ScreenedPhotos:
    """Screen photos as `screen` does, and write page and table into `folder`."""
    from normalgen.errors import PresetError
    from normalgen.features.open_features import open_features
    from normalgen.quality.unlabeled import screen_photos, usable
    from normalgen.report.screening_files import PAGE, write_screening

    if contamination is not None and not 0 <= contamination < 1:
        raise PresetError(f"contamination must be in [0, 1), got {contamination:g}")
    network = open_features(features, device=device)
    unlabeled = usable(photos, references, network, watch)
    screening = screen_photos(unlabeled, references, network, contamination=contamination, seed=seed, watch=watch)
    result = ScreenedPhotos(unlabeled.images, screening, unlabeled.passed, folder)
    title = f"{references.category}: {len(photos)} unlabeled photos"
    write_screening(
        folder,
        unlabeled.images,
        screening,
        unlabeled.passed,
        title=title,
        sentences=result.sentences(),
        watch=watch,
    )
    if screening.strange:
        raise DataError(
            f"the unlabeled photos do not show what the references show: their patches are {screening.apart:.1f} times "
            f"as far from the references as the references are from each other; look at {folder / PAGE}"
        )
    return result


def _sentences(images: "Images", screening: "Screening", passed: dict[str, str]) -> list[str]:
    total, kept = len(images), len(screening.of("kept"))
    lines = [
        f"{kept} of {total} photos are kept, {total - kept} left out ({screening.share:.0%}); "
        "this takes for granted that more than half of them are good"
    ]
    for group in screening.groups:
        names = ", ".join(images.names[index] for index in group[:3])
        lines.append(
            f"{len(group)} photos share something that no reference shows, such as {names}: if it is normal, add one "
            "of them to the references"
        )
    if passed:
        lines.append(f"{len(passed)} photos are passed over: unreadable, references, or copies")
    if screening.few:
        lines.append(f"with {total} photos the screening says little; look at them yourself")
    return lines
