"""Several workers draw one pool: each takes every n-th group of candidates and lays the images aside.

`__normalgen__/drawn/` holds the images that wait for their verdict, `window.json` (which candidates this round draws),
the references, so that judging needs no photos, and a lock a shard.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from safetensors.torch import load_file, save
from torch import Tensor

from normalgen.errors import DataError
from normalgen.files import write_json, write_whole
from normalgen.images import to_pil
from normalgen.pool.ledger import DRAWN, drawn_name
from normalgen.pool.making import Making
from normalgen.pool.plan import draw_group
from normalgen.record import locked, read_record
from normalgen.watch import Watch

__all__ = ["Shard", "Window"]

PLAN, SOURCES = f"{DRAWN}/window.json", f"{DRAWN}/references.safetensors"


@dataclass(frozen=True)
class Shard:
    """Worker `number` of `count`, from 1 on."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "2/4".

        Raises:
            DataError: not of that form, or not from 1/n to n/n.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise DataError(f"--shard must be 1/n to n/n, such as 2/4, got {text!r}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Window:
    """The candidates `start` to `stop` - 1 that a round of `shards` workers draws, for a pool of `n` images."""

    n: int
    shards: int
    start: int
    stop: int
    group: int

    @classmethod
    def open(cls, folder: Path, n: int, shards: int, making: Making) -> "Window":
        """The round under way in the locked `folder`, or a new one: as many candidates as images are lacking.

        Raises:
            DataError: a round for another n, or by another number of workers, is under way.
        """
        if (folder / PLAN).is_file():
            window, _ = cls.read(folder)
            if (window.n, window.shards) != (n, shards):
                raise DataError(
                    f"{window.shards} workers are drawing {window.n} images into {folder}; give all the same -n and "
                    f"--shard i/{window.shards}, or end that round with: normalgen pool merge {folder}"
                )
            return window
        group, ledger = making.preset.group, making.ledger
        start = ledger.judged - ledger.judged % group
        lacking = max(0, n - len(ledger.kept)) + ledger.judged - start
        window = cls(n, shards, start, start + -(-lacking // group) * group, group)
        pixels = save({"references": making.sources})
        write_whole(folder / SOURCES, lambda partial: partial.write_bytes(pixels))
        write_json(folder / PLAN, {"settings": asdict(window)})
        return window

    @classmethod
    def read(cls, folder: Path) -> "tuple[Window, Tensor]":
        """The round under way, and the references, uint8 (k, 3, S, S).

        Raises:
            DataError: there is none.
        """
        record = read_record(folder / PLAN)
        if record is None:
            raise DataError(f"{folder} has nothing drawn by --shard workers that waits to be merged")
        return cls(**record["settings"]), load_file(folder / SOURCES)["references"]

    def draw(self, folder: Path, shard: Shard, making: Making, watch: Watch) -> None:
        """Draw the shard's groups that are not there yet, with `making.model`.

        Raises:
            DataError: another process draws this shard.
        """
        starts = [start for start in range(self.start, self.stop, self.group) if self._owner(start) == shard.number]
        with locked(folder / DRAWN / f"{shard.number}-of-{shard.count}"):
            watch(f"draw {shard}", 0, len(starts) * self.group)
            for place, start in enumerate(starts):
                if not self._is_there(folder, start) and making.model is not None:
                    for each, image in draw_group(making.model, start, making.sources, making.settings["seed"]):
                        _write(folder / drawn_name(each.index), image)
                watch(f"draw {shard}", (place + 1) * self.group, len(starts) * self.group)

    def is_drawn(self, folder: Path) -> bool:
        """Whether every worker has done its share."""
        return all(self._is_there(folder, start) for start in range(self.start, self.stop, self.group))

    def _owner(self, start: int) -> int:
        return start // self.group % self.shards + 1

    def _is_there(self, folder: Path, start: int) -> bool:
        return all((folder / drawn_name(index)).is_file() for index in range(start, start + self.group))


def _write(path: Path, image: Tensor) -> None:
    write_whole(path, lambda partial: to_pil(image).save(partial, format="png"))
