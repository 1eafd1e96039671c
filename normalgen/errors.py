"""The errors that a user can cause. Each message says what was expected, what was found, and what to do.

NormalgenError
├── DataError (ValueError)              a folder, image, manifest or pool is not as expected; names the file
│   └── NothingKept                     the gate rejected every image of a pool
├── PresetError (ValueError)            an unknown preset, or a setting out of range
├── MissingWeights (FileNotFoundError)  model weights are missing; says how to get them
├── MissingDependency (ImportError)     a package is not installed; gives the pip command
└── NotFittedError (RuntimeError)       predict was called before fit
"""

__all__ = [
    "DataError",
    "MissingDependency",
    "MissingWeights",
    "NormalgenError",
    "NotFittedError",
    "NothingKept",
    "PresetError",
]


class NormalgenError(Exception):
    """Base class of all errors that normalgen raises on purpose."""


class DataError(NormalgenError, ValueError):
    """A folder, image, manifest or pool is not as expected."""


class NothingKept(DataError):
    """The gate rejected every image of a pool."""


class PresetError(NormalgenError, ValueError):
    """An unknown preset, or a setting out of range."""


class MissingWeights(NormalgenError, FileNotFoundError):
    """Model weights are missing."""


class MissingDependency(NormalgenError, ImportError):
    """An optional package is not installed."""


class NotFittedError(NormalgenError, RuntimeError):
    """A detector's `predict` was called before `fit`."""
