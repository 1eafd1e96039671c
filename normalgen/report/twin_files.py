"""Writes the files of a personalization run: each query's twin, and a picture of query, twin and difference."""

from pathlib import Path

from normalgen.data.queries import Queries
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.errors import DataError
from normalgen.images.images import to_pil
from normalgen.io.outputs import output_names, replacing
from normalgen.io.progress import Watch, silent
from normalgen.report.pictures import triptych

__all__ = ["MADE_BY", "TRIPTYCHS", "TWINS", "write_twins"]

MADE_BY, TWINS, TRIPTYCHS, BATCH = "normalgen personalize", "twin", "triptych", 8
FILES = (f"{TWINS}/*.png", f"{TRIPTYCHS}/*.png")
"""Names of its files; a later run replaces them."""


def write_twins(personalizer: Personalizer, queries: Queries, folder: Path, *, watch: Watch = silent) -> dict[str, str]:
    """Write `twin/NAME.png`, `triptych/NAME.png` and `run.json` for all queries; NAME as `output_names` gives it.

    Args:
        personalizer: makes the twins.
        queries: photos; their labels do not matter.
        folder: a new folder, or one of an earlier run, whose files are replaced.
        watch: receives the progress of "personalize".

    Returns:
        One message per unreadable photo, by name.

    Raises:
        DataError: no photo can be read; or the folder holds other files, or is in use.
    """
    errors: dict[str, str] = {}
    done, total, model = 0, len(queries.images), personalizer.model
    names = output_names(queries.images.names)
    with replacing(folder, MADE_BY, FILES) as outputs:
        watch("personalize", 0, total)
        for photos, unread in queries.batches(model.preset.size, BATCH):
            made = personalizer.personalize_photos(photos).twins if photos else ()
            for photo, pixels in zip(photos, made, strict=True):
                twin = to_pil(pixels)
                outputs.png(f"{TWINS}/{names[photo.name]}.png", twin)
                outputs.png(f"{TRIPTYCHS}/{names[photo.name]}.png", triptych(to_pil(photo.pixels), twin))
            done, errors = done + len(photos) + len(unread), errors | unread
            watch("personalize", done, total)
        if len(errors) == total:
            raise DataError(f"none of {total} photos can be read: {next(iter(errors.values()))}")
        settings = model.preset.settings() | {"model": model.digest, "seed": personalizer.seed}
        outputs.record["settings"] = settings | {"crop": queries.images.crop}
    return errors
