"""Checkpoints of a training: whole, or never taken up."""

import io
from pathlib import Path
from typing import Any

import torch

from normalgen.io.notes import note
from normalgen.io.records import seal, unseal

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain data, followed by their SHA-256."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(seal(buffer.getvalue()))


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any] | None:
    """Return what `write_checkpoint` wrote; None, with a note, if it is damaged: training then starts again."""
    try:
        data = unseal(path.read_bytes())
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception as error:  # damaged pickles make the reader raise any error
        note(f"{path} is damaged ({type(error).__name__}), so training starts again from the first step")
        return None
    return state
