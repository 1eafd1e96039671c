"""Peak memory of this process."""

import sys

__all__ = ["peak_memory"]


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None if the system does not report it, as on Windows."""
    try:
        import resource
    except ImportError:  # Python has this module only on Unix
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
