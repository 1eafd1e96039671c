"""The versions of the software that writes a record."""

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import normalgen

__all__ = ["revision", "versions"]


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return versions by name: normalgen, Python, `packages`, and for a checkout its commit as "revision"."""
    commit = revision(Path(normalgen.__file__).parent.parent)
    ours = {"normalgen": version("normalgen")} | ({"revision": commit} if commit else {})
    return ours | {"python": sys.version.split()[0]} | {name: version(name) for name in packages}


@cache
def revision(checkout: Path) -> str:
    """Return the commit of a checkout, twelve digits, with "-dirty" if files differ; "" without a checkout or git."""
    if not (checkout / ".git").exists():  # an environment may be inside another repository
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
