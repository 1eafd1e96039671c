"""The masks of anomalous photos to judge: next to the photos, in a folder beside theirs, or in `ground_truth`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from normalgen.data.folder_names import MASKS, MAYBE_MASKS, Role, name_role, telling_words
from normalgen.data.labels import stem_of_photo
from normalgen.data.layout import folders
from normalgen.data.readers.mvtec import masks_in
from normalgen.images.decode import ImageItem

__all__ = ["masks_of"]


def masks_of(
    path: Path,
    kinds: Mapping[str, Sequence[ImageItem]],
    beside: Mapping[str, Sequence[ImageItem]],
    holders: Sequence[str],
) -> dict[str, ImageItem]:
    """Return the masks of photos by the photos' names; photos without one are left out.

    Masks count if they are next to their photos ("a_mask.png"), in a folder named after that of the photos
    ("scratch_gt"), in any other folder of masks, there by kind unless one stem names one photo only, or, for a folder
    called `test`, in the folder of masks next to it: `ground_truth/scratch/a_mask.png`.

    Args:
        path: folder of the photos.
        kinds: the anomalous photos in each sub-folder.
        beside: the masks in each sub-folder of photos.
        holders: the sub-folders of masks.
    """
    stems = [Path(photo.name).stem for photos in kinds.values() for photo in photos]
    alone, masks = len(set(stems)) == len(stems), dict[str, ImageItem]()
    for kind, photos in kinds.items():
        own = {stem_of_photo(Path(mask.name).stem): mask for mask in beside.get(kind, ())}
        for holder in (*_published(path), *(path / name for name in holders)):
            named = [word for word in telling_words(holder.name) if word not in MASKS | MAYBE_MASKS]
            if named in ([], telling_words(kind)):
                own |= masks_in(holder, kind, alone=bool(named) or alone)
        masks |= {photo.name: own[stem] for photo in photos if (stem := Path(photo.name).stem) in own}
    return masks


def _published(path: Path) -> list[Path]:
    """Return the folders of masks next to a folder called `test`, as data sets are published."""
    whole = path.resolve()
    if whole.name.lower() != "test":
        return []
    with suppress(OSError):
        return [folder for folder in folders(whole.parent) if name_role(folder.name) is Role.MASKS]
    return []
