"""Suggests which unlabeled photos to confirm next, and adds confirmed ones to the references."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.notes import note
from normalgen.pipeline.folders import target_folder
from normalgen.pipeline.screening import screen

if TYPE_CHECKING:
    from normalgen.images.images import Images
    from normalgen.references import References

__all__ = ["Suggestions", "confirm", "suggest"]

ASKED, ADDS = "normal or not?", "adds variety"


@dataclass(frozen=True)
class Suggestions:
    """The photos that a person should look at next.

    Attributes:
        images: the photos, the most useful first.
        reasons: why each is suggested.
        folder: folder of the page that shows them.
    """

    images: "Images"
    reasons: tuple[str, ...]
    folder: Path


def suggest(
    photos: str | Path,
    references: "References",
    folder: str | Path | None = None,
    *,
    show: int = 8,
    features: str = "embedded",
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> Suggestions:
    """Suggest which unlabeled photos to confirm as normal: one per question, then those that add most variety.

    They are screened as by `normalgen.screen`, into screenings/CATEGORY.

    Args:
        photos: a folder of unlabeled photos, most of them good.
        references: the k photos of good parts.
        folder: folder for the page; default: suggestions/CATEGORY.
        show: how many photos to suggest, at least 1.
        features: as for `screen`.
        seed: as for `screen`.
        device: as for `screen`.
        progress: whether to show a bar.

    Raises:
        DataError, PresetError: as `screen`; or `show` is below 1.
    """
    from normalgen.io.outputs import see_free
    from normalgen.report.screening_files import SUGGESTED_BY, write_suggestions

    if show < 1:
        raise DataError(f"show must be at least 1, got {show}")
    target = target_folder(folder, "suggestions", references.category)
    see_free(target, SUGGESTED_BY)
    found = screen(photos, references, features=features, seed=seed, device=device, progress=progress)
    pairs = [(group.items[0], ASKED) for group in found.groups] + [(item, ADDS) for item in found.kept.items]
    items, reasons = zip(*pairs[:show], strict=True)
    images = found.kept.cut(items)
    title = f"{references.category}: {len(images)} photos to look at"
    names = "normalgen suggest ... --confirm NAME"
    write_suggestions(target, images, [*reasons], title, f"Add those that are good to the references: {names}.")
    return Suggestions(images, reasons, target)


def confirm(photos: Path, references: Path, names: Sequence[str]) -> list[Path]:
    """Copy unlabeled photos that a person found good into the folder of references; return the new files.

    Args:
        photos: the folder of unlabeled photos.
        references: the folder of references.
        names: names of the photos, as `suggest` gives them.

    Raises:
        DataError: a photo does not exist, or another one, confirmed or among the references, has its file name.
    """
    from normalgen.images.listing import need_photo
    from normalgen.io.atomic import write_whole
    from normalgen.io.paths import inside

    pairs = [(inside(photos, name, photos), references / Path(name).name) for name in names]
    for source, target in pairs:
        others = [other for other, same in pairs if same == target and other != source]
        if others:
            raise DataError(f"{source} and {others[0]} would both become {target}; rename one of them first")
        if not source.is_file():
            raise DataError(f"{source} does not exist; name a photo in {photos} as normalgen suggest prints it")
        need_photo(source)
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise DataError(f"{target} is another photo; rename {source} first")
    for source, target in pairs:
        write_whole(target, partial(shutil.copyfile, source))
    note(f"copied to {references}: {', '.join(target.name for _, target in pairs)}")
    return [target for _, target in pairs]
