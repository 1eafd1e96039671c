"""A disk cache with a size limit. Beyond the limit, the least recently used files are removed.

Each file ends with its SHA-256: a damaged one is never used, but made again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from normalgen.errors import DataError
from normalgen.io.atomic import PARTIAL
from normalgen.io.notes import note
from normalgen.io.paths import STALE, sweep
from normalgen.io.records import seal, unseal

__all__ = ["KeptFiles", "user_cache"]


def user_cache(name: str) -> Path:
    """Return the folder called `name` in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("normalgen") / name


T = TypeVar("T")


class KeptFiles:
    """A cache of files in a folder, on average at most `limit` bytes.

    Args:
        folder: several processes may share it.
        pattern: glob inside the folder that matches the cached files and no others.
        limit: bytes.
    """

    def __init__(self, folder: Path, pattern: str, limit: int = 4_000_000_000) -> None:
        self.folder, self.pattern, self.limit = folder, pattern, limit
        self.room = 0
        self.noted = False

    def read(self, path: Path, parse: Callable[[bytes], T]) -> T | None:
        """Parse the file at `path` with `parse` and mark it as used; None if it is missing or, with a note, damaged."""
        try:
            parsed = parse(unseal(path.read_bytes()))
        except OSError:
            return None
        except (ValueError, LookupError, SafetensorError, DataError):
            if not self.noted:
                note(f"the cache {self.folder} holds damaged files, such as {path.name}; they are made again")
            self.noted = True
            return None
        with suppress(OSError):
            os.utime(path)
        return parsed

    def keep(self, path: Path, data: bytes) -> None:
        """Write `data` to `path`, completely or not at all; a disk error is ignored."""
        data = seal(data)
        if self.room < len(data):
            self.room = self._make_room()
        self.room -= len(data)
        partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
        try:  # not flushed: files that a power cut damages are made again
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _make_room(self) -> int:
        """Remove unfinished and least recently used files; return how many bytes may be written until the next call."""
        sweep(self.folder, older=STALE, ended=True)
        files = sorted(self._files())
        total, least = sum(size for _, size, _ in files), self.limit // 10
        for _, size, path in files:
            if total <= self.limit - least:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
                total -= size
        return max(least, 1)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob(self.pattern):
            with suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path
