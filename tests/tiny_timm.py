"""Tiny networks of timm with random weights."""

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

__all__ = ["saved"]


def saved(name: str, folder: Path) -> str:
    """Write random weights of timm's network `name`, always the same, and return their file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(name)
    path = folder / f"{name}.safetensors"
    save_file(network.state_dict(), path)
    return str(path)
