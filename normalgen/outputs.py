"""Folders of results: a later run of the same command replaces what an earlier one wrote there, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normalgen.errors import DataError
from normalgen.files import write_json, write_whole
from normalgen.record import locked, read_record, refuse_foreign

__all__ = ["RUN", "Outputs", "flat", "picture", "replacing", "see_free"]

RUN = "run.json"


class Outputs:
    """What one run writes; made by `replacing`.

    Attributes:
        folder: of the files.
        record: what `run.json` shall say when the run is done.
        names: the files written so far, as paths inside the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = {"settings": {}}
        self.names: set[str] = set()

    def path(self, name: str) -> Path:
        """Where the file called `name` is to be written; from now on it is one of this run's."""
        self.names.add(name)
        return self.folder / name

    def text(self, name: str, text: str) -> None:
        """Write a text."""
        write_whole(self.path(name), lambda partial: partial.write_text(text, encoding="utf-8"))

    def png(self, name: str, image: Image.Image) -> None:
        """Write a picture."""
        write_whole(self.path(name), lambda partial: image.save(partial, format="png"))

    def array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array as numpy does."""

        def save(partial: Path) -> None:
            with partial.open("wb") as file:
                np.save(file, values)

        write_whole(self.path(name), save)


@contextmanager
def replacing(folder: Path, made_by: str) -> Iterator[Outputs]:
    """Hold `folder` for a run; at its end `run.json` is written, and what an earlier run alone wrote is removed.

    A run that fails removes nothing.

    Args:
        folder: new, empty, or of an earlier run of the same command.
        made_by: the command.

    Raises:
        DataError: as `see_free`; or another process holds the folder.
    """
    with locked(folder):
        earlier = see_free(folder, made_by)
        if earlier is None:
            write_json(folder / RUN, {"made_by": made_by, "settings": {}, "files": []})
        outputs = Outputs(folder)
        yield outputs
        for name in set(earlier or ()) - outputs.names:
            (folder / name).unlink(missing_ok=True)
        write_json(folder / RUN, {"made_by": made_by} | outputs.record | {"files": sorted(outputs.names)})


def see_free(folder: Path, made_by: str) -> list[str] | None:
    """The files that an earlier run of the command wrote to `folder`; None if nothing is there.

    Raises:
        DataError: other files are there, or another command's; or it is no folder, or cannot be written.
    """
    record = read_record(folder / RUN)
    if record is None:
        refuse_foreign(folder)
        return None
    if record.get("made_by") != made_by:
        raise DataError(f"{folder} holds a {RUN} that {made_by} did not write; choose another folder")
    files: list[str] = record.get("files", [])
    return files


def flat(name: str) -> str:
    """A file name for a photo's path inside its folder."""
    return name.replace("/", "__")


def picture(name: str) -> str:
    """The name of a photo's picture: that of the photo, and `.png`."""
    return f"{flat(name)}.png"
