"""The most memory that this process ever held."""

import sys

__all__ = ["peak_memory"]


def peak_memory() -> int | None:
    """The most bytes that this process ever held; None where the system does not say, as on Windows."""
    try:
        import resource
    except ImportError:  # Python has this module on Unix alone
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
