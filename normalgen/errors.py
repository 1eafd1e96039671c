"""The errors a user can cause. Each message says what was expected, what was found, and what to do.

NormalgenError
├── DataError (ValueError)              a folder, image, manifest or pool is not what it should be; names the file
│   └── NothingKept                     the gate kept no image of a whole pool
├── PresetError (ValueError)            an unknown preset, or a setting out of range
├── MissingWeights (FileNotFoundError)  weights that are not there; says how to get them
├── MissingDependency (ImportError)     a package that is not installed; holds the pip line
└── NotFittedError (RuntimeError)       a detector asked to predict before fit
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
    """Base of every error that normalgen raises on purpose."""


class DataError(NormalgenError, ValueError):
    """A folder, image, manifest or pool is not what it should be."""


class NothingKept(DataError):
    """The gate kept no image of a whole pool."""


class PresetError(NormalgenError, ValueError):
    """An unknown preset, or a setting out of range."""


class MissingWeights(NormalgenError, FileNotFoundError):
    """Model weights that are not there."""


class MissingDependency(NormalgenError, ImportError):
    """An optional package that is not installed."""


class NotFittedError(NormalgenError, RuntimeError):
    """A detector was asked to predict before it was fitted."""
