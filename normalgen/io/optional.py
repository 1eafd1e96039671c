"""Import packages that only some uses need."""

from importlib import import_module
from typing import Any

from normalgen.errors import MissingDependency

__all__ = ["optional_module"]


def optional_module(name: str, extra: str) -> Any:
    """Import and return the module `name`, which normalgen's extra `extra` installs.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependency(f"{name} is not installed; pip install 'normalgen[{extra}]'") from error
