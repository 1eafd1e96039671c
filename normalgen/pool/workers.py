"""Several workers draw one pool: each draws every n-th group of candidates and stores the images until they are judged.

A folder in the records' `drawn/`, named after the pool's settings, holds the images that wait for their verdict,
`window.json` (the candidates of this round; its removal ends the round), the references, so that judging needs no
photos, and one lock per shard. If a pool with other settings replaces the pool, the old round ends, and the images of
its workers are ignored.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.images.images import to_pil
from normalgen.images.turning import Turnable, turnable
from normalgen.io.atomic import write_whole
from normalgen.io.progress import Watch
from normalgen.io.records import read_json, seal, unseal, write_record
from normalgen.io.run_folder import locked, locked_if_free
from normalgen.pool.filling import PoolFilling
from normalgen.pool.journal import numbered

__all__ = ["Shard", "Window"]

PLAN, SOURCES = "window.json", "references.safetensors"


class _Round(TypedDict):
    """`window.json`."""

    settings: dict[str, int]


@dataclass(frozen=True)
class Shard:
    """Worker `number` of `count`; numbers start at 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard for a text such as "2/4".

        Raises:
            DataError: the text has another form, or is not from 1/n to n/n.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(*map(int, match.groups())) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise DataError(f"--shard must be 1/n to n/n, such as 2/4, got {text!r}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Window:
    """A round of `shards` workers for a pool of `n` images; they draw candidates `start` to `stop` - 1.

    The argument `drawn` of its methods is the folder that they draw into, `PoolFilling.drawn`.
    """

    n: int
    shards: int
    start: int
    stop: int
    group: int

    @classmethod
    def open(cls, n: int, shards: int, making: PoolFilling) -> "Window":
        """Return the current round of the locked pool, or a new one with as many candidates as images are missing.

        Raises:
            DataError: the current round has another n or another number of workers.
        """
        under_way = cls.read(making.drawn)
        if under_way is not None:
            window, _ = under_way
            if (window.n, window.shards) != (n, shards):
                raise DataError(
                    f"{window.shards} workers are drawing {window.n} images into {making.folder}; use -n {window.n} "
                    f"and --shard i/{window.shards}, or, when none of them runs, end that round with: "
                    f"normalgen pool merge {making.folder}"
                )
            return window
        group, ledger = making.preset.pool.group, making.ledger
        start = ledger.judged - ledger.judged % group
        lacking = max(0, n - len(ledger.kept)) + ledger.judged - start
        window = cls(n, shards, start, start + -(-lacking // group) * group, group)
        photos = torch.stack([source.photo for source in making.sources])
        aspects = torch.tensor([source.aspect for source in making.sources], dtype=torch.float64)
        pixels = seal(save({"references": photos, "aspects": aspects}))
        write_whole(making.drawn / SOURCES, lambda partial: partial.write_bytes(pixels))
        write_record(making.drawn / PLAN, {"settings": asdict(window)})
        return window

    @classmethod
    def read(cls, drawn: Path) -> "tuple[Window, list[Turnable]] | None":
        """Return the current round and the references; None if there is no round.

        Raises:
            DataError: the files of the round are damaged.
        """
        window = cls._read(drawn)
        return None if window is None else (window, _sources(drawn))

    @classmethod
    def _read(cls, drawn: Path) -> "Window | None":
        record = read_json(drawn / PLAN, _Round, _again(drawn))
        if record is None:
            return None
        if record["settings"].keys() != {field.name for field in fields(cls)}:
            raise DataError(f"{drawn / PLAN} is no round of workers; {_again(drawn)}")
        return cls(**record["settings"])

    def hold(self, drawn: Path, shard: Shard) -> AbstractContextManager[None]:
        """Lock the shard for this process; call it while the pool is locked, so that `end` sees it.

        Raises:
            DataError: another process draws the shard.
        """
        return locked(self._lock(drawn, shard.number))

    def draw(self, shard: Shard, making: PoolFilling, watch: Watch) -> None:
        """Draw the shard's missing groups with `making.model`, until done or until the round ends."""
        starts = [start for start in range(self.start, self.stop, self.group) if self._owner(start) == shard.number]
        watch(f"draw {shard}", 0, len(starts) * self.group)
        for done, start in enumerate(starts, 1):
            if not self.is_under_way(making.drawn):
                return
            if not self._exists(making.drawn, start):
                for item, image in making.draw(start):
                    _write(making.drawn / numbered(item.index), image)
            watch(f"draw {shard}", done * self.group, len(starts) * self.group)

    def is_under_way(self, drawn: Path) -> bool:
        """Return whether the round has not ended and the pool was not replaced."""
        return self._read(drawn) == self

    def is_drawn(self, drawn: Path) -> bool:
        """Return whether every worker has drawn its share."""
        return all(self._exists(drawn, start) for start in range(self.start, self.stop, self.group))

    def end(self, drawn: Path) -> None:
        """End the round in the locked pool, unless a worker is drawing; drawn images stay for the next round."""
        for number in range(1, self.shards + 1):
            with locked_if_free(self._lock(drawn, number)) as free:
                if not free:
                    return
        (drawn / PLAN).unlink()

    def _lock(self, drawn: Path, number: int) -> Path:
        return drawn / f"{number}-of-{self.shards}"

    def _owner(self, start: int) -> int:
        return start // self.group % self.shards + 1

    def _exists(self, drawn: Path, start: int) -> bool:
        return all((drawn / numbered(index)).is_file() for index in range(start, start + self.group))


def _again(drawn: Path) -> str:
    return f"stop the workers, remove {drawn}, and start them again"


def _sources(drawn: Path) -> list[Turnable]:
    try:
        saved = load(unseal((drawn / SOURCES).read_bytes()))
        pixels, aspects = saved["references"], saved["aspects"].tolist()
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"{drawn / SOURCES} is missing or damaged ({error}); {_again(drawn)}") from error
    if pixels.dtype != torch.uint8 or pixels.dim() != 4:
        raise DataError(f"{drawn / SOURCES} holds no references; {_again(drawn)}")
    return [turnable(photo, aspect) for photo, aspect in zip(pixels, aspects, strict=True)]


def _write(path: Path, image: Tensor) -> None:
    write_whole(path, lambda partial: to_pil(image).save(partial, format="png"))
