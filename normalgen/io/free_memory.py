"""Free memory of this machine."""

from contextlib import suppress
from pathlib import Path

from normalgen.errors import PresetError

__all__ = ["free_memory", "need_memory"]

MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Return how many bytes this process may still allocate; None if the system does not say, as outside Linux."""
    free: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        lines = [line for line in MEMORY.read_text().splitlines() if line.startswith("MemAvailable")]
        free.append(int(lines[0].split()[1]) * 1024)
    with suppress(OSError, ValueError):  # a container's limit; "max" if there is none
        held, most = (int((GROUP / f"memory.{name}").read_text()) for name in ("current", "max"))
        free.append(most - held + _cached())
    return min(free) if free else None


def _cached() -> int:
    """Return the bytes of cached files, which count as held but give way."""
    pairs = (line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    return sum(int(value) for name, value in pairs if name in ("inactive_file", "active_file"))


def need_memory(needed: int, what: str, remedy: str) -> None:
    """Check that `needed` bytes are free, if the system says.

    Args:
        needed: bytes.
        what: what would keep them, for the message.
        remedy: how to make them fewer.

    Raises:
        PresetError: they are not free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise PresetError(f"{what} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; {remedy}")
