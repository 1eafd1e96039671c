"""What a record was written by."""

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import normalgen

__all__ = ["revision", "versions"]


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions by name: normalgen's, Python's, those of `packages`; of a checkout its commit, as "revision"."""
    commit = revision(Path(normalgen.__file__).parent.parent)
    ours = {"normalgen": version("normalgen")} | ({"revision": commit} if commit else {})
    return ours | {"python": sys.version.split()[0]} | {name: version(name) for name in packages}


@cache
def revision(checkout: Path) -> str:
    """The commit of a checkout, twelve digits, with "-dirty" where files differ from it; "" if it is none, or git is
    lacking.
    """
    if not (checkout / ".git").exists():  # an environment inside somebody else's repository is not ours to name
        return ""
    asked = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
