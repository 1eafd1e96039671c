"""Several workers draw one pool: each takes every n-th group of candidates and lays the images aside.

A folder in the records' `drawn/`, called after the pool's settings, holds the images that wait for their verdict,
`window.json` (which candidates this round draws; a round is over when it is gone), the references, so that judging
needs no photos, and a lock per shard. A worker whose pool was replaced by one with other settings finds its round gone;
nobody looks at what it was drawing.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from safetensors.torch import load_file, save
from torch import Tensor

from normalgen.errors import DataError
from normalgen.images.images import to_pil
from normalgen.io.atomic import write_json, write_whole
from normalgen.io.progress import Watch
from normalgen.io.run_folder import locked, locked_if_free, read_record
from normalgen.pool.filling import PoolFilling
from normalgen.pool.journal import numbered
from normalgen.pool.plan import draw_group

__all__ = ["Shard", "Window"]

PLAN, SOURCES = "window.json", "references.safetensors"


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
    """A round of `shards` workers, for a pool of `n` images: they draw candidates `start` to `stop` - 1.

    Its methods take the folder that they draw into, `PoolFilling.drawn`.
    """

    n: int
    shards: int
    start: int
    stop: int
    group: int

    @classmethod
    def open(cls, n: int, shards: int, making: PoolFilling) -> "Window":
        """The round under way in the locked pool, or a new one: as many candidates as images are lacking.

        Raises:
            DataError: a round for another n, or by another number of workers, is under way.
        """
        under_way = cls.read(making.drawn)
        if under_way is not None:
            window, _ = under_way
            if (window.n, window.shards) != (n, shards):
                raise DataError(
                    f"{window.shards} workers are drawing {window.n} images into {making.folder}; give all the same "
                    f"-n and --shard i/{window.shards}, or, when none of them runs, end that round with: "
                    f"normalgen pool merge {making.folder}"
                )
            return window
        group, ledger = making.preset.pool.group, making.ledger
        start = ledger.judged - ledger.judged % group
        lacking = max(0, n - len(ledger.kept)) + ledger.judged - start
        window = cls(n, shards, start, start + -(-lacking // group) * group, group)
        pixels = save({"references": making.sources})
        write_whole(making.drawn / SOURCES, lambda partial: partial.write_bytes(pixels))
        write_json(making.drawn / PLAN, {"settings": asdict(window)})
        return window

    @classmethod
    def read(cls, drawn: Path) -> "tuple[Window, Tensor] | None":
        """The round under way, and the references, uint8 (k, 3, S, S); None if there is none."""
        record = read_record(drawn / PLAN)
        return None if record is None else (cls(**record["settings"]), load_file(drawn / SOURCES)["references"])

    def hold(self, drawn: Path, shard: Shard) -> AbstractContextManager[None]:
        """Keep the shard for this process; taken while the pool is locked, so that `end` never overlooks it.

        Raises:
            DataError: another process draws it.
        """
        return locked(self._lock(drawn, shard.number))

    def draw(self, shard: Shard, making: PoolFilling, watch: Watch) -> None:
        """Draw the shard's groups that are not there yet, with `making.model`, while the round is under way."""
        starts = [start for start in range(self.start, self.stop, self.group) if self._owner(start) == shard.number]
        watch(f"draw {shard}", 0, len(starts) * self.group)
        for place, start in enumerate(starts):
            if not self.is_under_way(making.drawn):
                return
            if not self._is_there(making.drawn, start) and making.model is not None:
                for each, image in draw_group(making.model, start, making.sources, making.settings["seed"]):
                    _write(making.drawn / numbered(each.index), image)
            watch(f"draw {shard}", (place + 1) * self.group, len(starts) * self.group)

    def is_under_way(self, drawn: Path) -> bool:
        """Whether nobody has ended the round, or replaced the pool."""
        record = read_record(drawn / PLAN)
        return record is not None and record["settings"] == asdict(self)

    def is_drawn(self, drawn: Path) -> bool:
        """Whether every worker has done its share."""
        return all(self._is_there(drawn, start) for start in range(self.start, self.stop, self.group))

    def end(self, drawn: Path) -> None:
        """End the round in the locked pool, unless a worker is drawing; what is drawn stays for the next round."""
        for number in range(1, self.shards + 1):
            with locked_if_free(self._lock(drawn, number)) as free:
                if not free:
                    return
        (drawn / PLAN).unlink()

    def _lock(self, drawn: Path, number: int) -> Path:
        return drawn / f"{number}-of-{self.shards}"

    def _owner(self, start: int) -> int:
        return start // self.group % self.shards + 1

    def _is_there(self, drawn: Path, start: int) -> bool:
        return all((drawn / numbered(index)).is_file() for index in range(start, start + self.group))


def _write(path: Path, image: Tensor) -> None:
    write_whole(path, lambda partial: to_pil(image).save(partial, format="png"))
