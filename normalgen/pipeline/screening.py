"""Screens a folder of unlabeled photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen import __version__
from normalgen.errors import DataError, PresetError
from normalgen.features.open_features import EMBEDDED
from normalgen.io.devices import pick_device
from normalgen.io.progress import Watch, progress_bars
from normalgen.io.records import text_digest
from normalgen.pipeline.folders import check_apart, target_folder

if TYPE_CHECKING:
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.quality.screen import Screening
    from normalgen.references import References
    from normalgen.report.screening_files import ScreeningRecord

__all__ = ["ScreenSettings", "ScreenedPhotos", "screen", "screen_into", "unlabeled_photos"]


@dataclass(frozen=True)
class ScreenedPhotos:
    """The result of a screening.

    Attributes:
        kept: the photos that show nothing unusual, ordered by what each adds to the references and to those before it.
        sentences: what the screening found, for people.
        folder: folder of the page and the table.
        verdicts: one of `normalgen.quality.screen.VERDICTS` for each screened photo, by name.
        passed: why other photos were passed over, by name.
        groups: for each question, the photos that share something no reference shows.
        suspicious: the photos that are unusual in a small part.
        masks: the unusual patches of each of these, as a text of 0 and 1.
        limits: the cut-offs.
        features: what judged them.
    """

    kept: "Images"
    sentences: tuple[str, ...]
    folder: Path
    verdicts: dict[str, str]
    passed: dict[str, str]
    groups: "tuple[Images, ...]"
    suspicious: "Images"
    masks: tuple[str, ...]
    limits: dict[str, float]
    features: str


@dataclass(frozen=True)
class ScreenSettings:
    """The settings of a screening; `contamination`, `features`, `seed` and `device` as for `screen`."""

    contamination: float | None = None
    features: str = "embedded"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.contamination is not None and not 0 <= self.contamination < 1:
            raise PresetError(f"contamination must be in [0, 1), got {self.contamination:g}")

    def plain(self) -> dict[str, object]:
        """Return what a result depends on."""
        meaning = EMBEDDED if self.features == "embedded" else self.features
        return {"contamination": self.contamination, "features": meaning, "seed": self.seed, "version": __version__}


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
    settings = ScreenSettings(contamination, features, seed, pick_device(device))
    with progress_bars(progress) as watch:
        return screen_into(target, given, references, settings, watch)


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
    folder: Path, photos: "Images", references: "References", settings: ScreenSettings, watch: Watch
) -> ScreenedPhotos:
    """Screen photos as `screen` does, and write page and table into `folder`; or read what an earlier run wrote there.

    What `normalgen screen` found with the same settings, in its own folder, is copied.

    Raises:
        DataError, PresetError: as `screen`.
    """
    from normalgen.report.screening_files import PAGE, copy_screening, read_screening

    key = screening_key(photos, references, settings)
    own = target_folder(None, "screenings", references.category)
    found = read_screening(folder, key) or copy_screening(own, folder, key)
    found = found or _screened(folder, photos, references, settings, key, watch)
    if found.refused:
        raise DataError(f"{found.refused}; look at {folder / PAGE}")
    index = {name: at for at, name in enumerate(photos.names)}
    kept, suspicious, *groups = (
        photos.take([index[name] for name in names]) for names in (found.kept, found.masks, *found.groups)
    )
    return ScreenedPhotos(
        kept,
        tuple(found.sentences),
        folder,
        found.verdicts,
        found.passed,
        tuple(groups),
        suspicious,
        tuple(found.masks.values()),
        found.limits,
        settings.features,
    )


def screening_key(photos: "Images", references: "References", settings: ScreenSettings) -> dict[str, object]:
    """Return all that a screening depends on, as plain data."""
    return settings.plain() | references.identity() | {"photos": _digest(photos)}


def _screened(
    folder: Path,
    photos: "Images",
    references: "References",
    settings: ScreenSettings,
    key: dict[str, object],
    watch: Watch,
) -> "ScreeningRecord":
    from normalgen.features.open_features import open_features
    from normalgen.quality.screen import mask_text
    from normalgen.quality.unlabeled import by_what_they_add, screen_photos, usable
    from normalgen.report.screening_files import ScreeningRecord, write_screening

    unlabeled = usable(photos, references, open_features(settings.features, device=settings.device), watch)
    images, passed = unlabeled.images, unlabeled.passed
    found = screen_photos(unlabeled, contamination=settings.contamination, seed=settings.seed, watch=watch)
    kept = images.take(by_what_they_add(unlabeled, found.of("kept")))
    verdicts = dict(zip(images.names, found.verdicts, strict=True))
    groups = [images.take(group).names for group in found.groups]
    sentences, refused = _sentences(images, found, passed, settings.contamination), _refusal(found)
    masks = {images.names[i]: mask_text(found.masks[i]) for i in found.of("suspicious") if found.masks[i].any()}
    record = ScreeningRecord(kept.names, sentences, verdicts, passed, groups, refused, masks, found.limits)
    title = f"{references.category}: {len(photos)} unlabeled photos"
    write_screening(folder, images, found, record, key, title=title, watch=watch)
    return record


def _refusal(found: "Screening") -> str:
    """Return why none of the photos can be used; "" if some can."""
    if found.strange:
        return (
            f"the unlabeled photos do not show what the references show: their patches are {found.apart:.1f} times as "
            "far from the references as from each other"
        )
    if not found.of("kept"):
        return f"none of {len(found.verdicts)} unlabeled photos is kept"
    return ""


def _digest(photos: "Images") -> str:
    """Return the digest of names and contents; of a file that cannot be read, its name alone counts."""
    from normalgen.data.queries import Queries

    hashes = Queries(photos, (None,) * len(photos)).hashes()
    lines = (f"{name} {digest}" for name, digest in zip(photos.names, hashes, strict=True))
    return text_digest("\n".join(lines).encode(errors="surrogateescape"))


def _sentences(
    images: "Images", screening: "Screening", passed: dict[str, str], contamination: float | None
) -> list[str]:
    total, kept = len(images), len(screening.of("kept"))
    why = "this takes for granted that more than half of them are good"
    why = why if contamination is None else f"--contamination {contamination:g} says how many"
    lines = [f"{kept} of {total} photos are kept, {total - kept} left out ({screening.share:.0%}); {why}."]
    for group in screening.groups:
        names = ", ".join(images.names[index] for index in group[:3])
        lines.append(
            f"{len(group)} photos share something that no reference shows, such as {names}: if it is normal, add one "
            "of them to the references."
        )
    if passed:
        lines.append(f"{len(passed)} photos are passed over: unreadable, references, or copies.")
    if screening.few:
        lines.append(f"With {total} photos the screening says little; look at them yourself.")
    return lines
