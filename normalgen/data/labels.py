"""The one reader of labels: what each folder of pictures next to others is taken for, and the line that says so."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from normalgen.data.folder_names import MASKS, Role, name_role, telling_words
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.peek import count_values, upright_size

__all__ = ["GOOD", "FolderLabel", "Folders", "LabelNames", "describe", "masks_among", "read_folders", "stem_of_photo"]

GOOD = "good"
ASK = "--normal NAME or --anomalous NAME says what it is"
SUFFIXED = ("mask", "gt", "label", "seg", "segmentation", "groundtruth", "ground_truth", "annotation")
ORDER = (Role.NORMAL, Role.ANOMALOUS, Role.MASKS, Role.UNSORTED, Role.UNKNOWN)
MOST = 12
"""Most folders that the line names one by one."""
MASK_VALUES = 32
"""Most values in a mask whose numbers stand for kinds of defects."""


@dataclass(frozen=True)
class LabelNames:
    """Names of folders that the user says are normal or anomalous, in any case; they go before everything else.

    Raises:
        DataError: a name is both.
    """

    normal: tuple[str, ...] = ()
    anomalous: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = sorted(_folded(self.normal) & _folded(self.anomalous))
        if both:
            raise DataError(f"--normal {both[0]} and --anomalous {both[0]} contradict each other; keep one")

    def role(self, name: str) -> Role | None:
        """Return what the user says about a folder; None if nothing."""
        if name.casefold() in _folded(self.normal):
            return Role.NORMAL
        return Role.ANOMALOUS if name.casefold() in _folded(self.anomalous) else None

    def check_used(self, folders: "Iterable[FolderLabel]", where: object) -> None:
        """Check that each name is that of a folder.

        Raises:
            DataError: it is not.
        """
        own = [Path(folder.name).name for folder in folders]
        for option, names in (("--normal", self.normal), ("--anomalous", self.anomalous)):
            for name in names:
                if name.casefold() not in _folded(own):
                    listed = ", ".join(dict.fromkeys(own)) or "no folder"
                    raise DataError(f"{option} {name}: {where} has no folder of this name, found {listed}")


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


@dataclass(frozen=True)
class FolderLabel:
    """What a folder is taken for.

    Attributes:
        name: the folder, such as "test/scratch".
        role: normal, anomalous, masks, no label or unknown.
        count: number of pictures in it.
        used: False if its pictures are set aside although they have a label.
    """

    name: str
    role: Role
    count: int
    used: bool = True

    def __str__(self) -> str:
        match self.role:
            case Role.MASKS:
                return f"{self.name}: masks, not judged"
            case Role.UNSORTED:
                return f"{self.name}: no label"
            case Role.UNKNOWN:
                return f"{self.name}: no label, unknown name ({ASK})"
            case role:
                return f"{self.name}: {self.count} {role}{'' if self.used else ', not used'}"

    @property
    def label(self) -> str | None:
        """Return "good", the kind of defect that the folder's name says, or None."""
        own = Path(self.name).name
        if self.role is Role.ANOMALOUS:
            return "anomalous" if own == GOOD else own
        return GOOD if self.role is Role.NORMAL else None


@dataclass(frozen=True)
class Folders:
    """Folders next to each other, by name."""

    labels: Mapping[str, FolderLabel] = field(default_factory=dict)

    def of(self, *roles: Role) -> list[str]:
        """Return the names of the folders with one of these roles, in order."""
        return [name for name, label in self.labels.items() if label.role in roles]

    def need_known(self, where: object) -> None:
        """Check that every folder has a meaning.

        Raises:
            DataError: one has not; asks what it is.
        """
        if unknown := self.of(Role.UNKNOWN):
            known = describe([label for label in self.labels.values() if label.role is not Role.UNKNOWN])
            options = f"--normal {unknown[0]} or --anomalous {unknown[0]}"
            beside = f" (next to {known})" if known else ""
            raise DataError(f"{where}: normal or anomalous: {', '.join(unknown)}{beside}? Say it: {options}, and so on")


def describe(folders: Sequence[FolderLabel]) -> str:
    """Return what the folders are taken for, in one line, normal ones first: "good: 8 normal; scratch: 8 anomalous"."""
    folders = sorted(folders, key=lambda folder: (Path(folder.name).parent != Path("train"), ORDER.index(folder.role)))
    texts = list(map(str, folders[:MOST]))
    if len(folders) > MOST:
        rest: dict[str, int] = {}
        for folder in folders[MOST:]:
            rest[folder.role] = rest.get(folder.role, 0) + folder.count
        texts.append(f"{len(folders) - MOST} more folders: {', '.join(f'{n} {role}' for role, n in rest.items())}")
    return "; ".join(texts)


def read_folders(pictures: Mapping[str, Sequence[ImageItem]], said: LabelNames | None, prefix: str = "") -> Folders:
    """Return what each folder is taken for, by what the user says, by its name, and by its pictures.

    A name of its own, such as "scratch", is a kind of defect if a folder next to it is normal; else it is unknown. So
    are names that may mean anything, such as "2" or "batch_3". A folder is one of masks if all of its pictures have two
    values and the names or sizes of photos in a folder next to it, which have more values.

    Args:
        pictures: the pictures in each folder, by the folder's name.
        said: what the user says; None for a published set, whose folders are good or kinds of defects.
        prefix: goes before the names, such as "test/".
    """
    if said is None:
        roles = {name: Role.NORMAL if name_role(name) is Role.NORMAL else Role.ANOMALOUS for name in pictures}
    else:
        roles = _roles(pictures, said)
    return Folders({name: FolderLabel(prefix + name, role, len(pictures[name])) for name, role in roles.items()})


def _roles(pictures: Mapping[str, Sequence[ImageItem]], said: LabelNames) -> dict[str, Role]:
    by_name = {name: said.role(name) or name_role(name) for name in pictures}
    roles = {
        name: role if said.role(name) else _looked_at(name, role, pictures, by_name) for name, role in by_name.items()
    }
    kind = Role.ANOMALOUS if Role.NORMAL in roles.values() else Role.UNKNOWN
    return {name: kind if role is Role.KIND else role for name, role in roles.items()}


def _looked_at(name: str, role: Role, pictures: Mapping[str, Sequence[ImageItem]], roles: Mapping[str, Role]) -> Role:
    """Return the role that a folder's pictures leave it."""
    if role in (Role.NORMAL, Role.MASKS) or not pictures[name]:
        return role
    if role is Role.MAYBE_MASKS:
        return Role.MASKS if _values(pictures[name][0]) <= MASK_VALUES else Role.UNKNOWN
    own = [word for word in telling_words(name) if word not in MASKS]
    beside = [other for other in pictures if other != name and roles[other] is not Role.MASKS]
    named_after = len(own) < len(telling_words(name)) and own in [telling_words(other) for other in beside]
    return Role.MASKS if named_after or _are_masks(pictures[name], [pictures[other] for other in beside]) else role


def _are_masks(items: Sequence[ImageItem], beside: Sequence[Sequence[ImageItem]]) -> bool:
    """Return whether all pictures have two values, unlike the photos next to them, whose names or sizes they have."""
    if _values(items[0]) > 2:
        return False
    photos = [photos for photos in beside if photos and _values(photos[0]) > 2]
    counts = [_values(item) for item in items] if photos else []
    return max(counts, default=0) == 2 and any(_belong(items, others) for others in photos)


def _belong(masks: Sequence[ImageItem], photos: Sequence[ImageItem]) -> bool:
    stems = {Path(photo.name).stem for photo in photos}
    if all(stem_of_photo(Path(mask.name).stem) in stems for mask in masks):
        return True
    try:
        sizes = {upright_size(photo) for photo in photos}
        return all(upright_size(mask) in sizes for mask in masks)
    except DataError:
        return False


def stem_of_photo(stem: str) -> str:
    """Return the stem of the photo whose mask is called `stem`: "003" for "003_mask", "003-GT" and "003"."""
    return re.sub(rf"(?i)[ _.-]?({'|'.join(SUFFIXED)})\d*$", "", stem) or stem


def masks_among(items: Sequence[ImageItem]) -> set[str]:
    """Return the names of the masks among the pictures of one folder: "a_mask.png" next to "a.jpg", of few values."""
    stems = {Path(item.name).stem for item in items}
    own = [(item, Path(item.name).stem) for item in items]
    named = [item for item, stem in own if stem_of_photo(stem) != stem and stem_of_photo(stem) in stems]
    return {item.name for item in named if _values(item) <= MASK_VALUES}


def _values(item: ImageItem) -> int:
    try:
        return count_values(item)
    except DataError:
        return 256
