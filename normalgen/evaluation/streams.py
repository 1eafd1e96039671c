"""Screens the unlabeled photos of an arm as users' photos are screened."""

from pathlib import Path

from normalgen.errors import DataError
from normalgen.features.cached import KeptFeatures
from normalgen.features.open_features import open_features
from normalgen.images.images import Images
from normalgen.quality.unlabeled import screen_photos, usable
from normalgen.references import References

__all__ = ["kept_names"]


def kept_names(photos: Images, references: References, seed: int, device: str, cache: Path | None) -> set[str]:
    """Return the names of the photos that the screening keeps, on the default features and with its own limits.

    Args:
        photos: unlabeled ones.
        references: the shots.
        seed: as for `screen_photos`.
        device: device of the features.
        cache: folder for patch vectors; None keeps none.

    Raises:
        DataError: none is usable, or they show another part than the references.
    """
    network = open_features("embedded", device=device)
    kept = network if cache is None else KeptFeatures(network, cache / "patches")
    unlabeled = usable(photos, references, kept)
    screening = screen_photos(unlabeled, seed=seed)
    if screening.strange:
        raise DataError(f"the screening refuses the unlabeled photos: {screening.apart:.1f} times as far as references")
    return {unlabeled.images.names[index] for index in screening.of("kept")}
