"""What the doors to open_clip and timm share: sizes, files of weights, and names that say which weights."""

import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from normalgen.errors import MissingWeights

__all__ = [
    "fingerprint",
    "first_line",
    "normalised",
    "quarters",
    "quietly",
    "read_weights",
    "refuse_not_finite",
    "resized",
    "weight_file",
]

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def resized(images: Tensor, size: int, mode: str = "bicubic") -> Tensor:
    """Images (N, 3, H, W) in [0, 1], squashed to (N, 3, size, size) with an antialiased filter, still in [0, 1]."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode=mode, antialias=True).clamp(0, 1)


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(images - mean) / std, channel by channel."""
    return (images - images.new_tensor(mean)[:, None, None]) / images.new_tensor(std)[:, None, None]


def quarters(depth: int) -> tuple[int, ...]:
    """The blocks, counted from 1, at the ends of the quarters of a network of `depth`: 24 -> 6, 12, 18, 24."""
    return tuple(sorted({max(1, depth * quarter // 4) for quarter in (1, 2, 3, 4)}))


@contextmanager
def quietly() -> Iterator[None]:
    """Build a network without a warning, a log handler, or a draw from the global random state left behind."""
    handlers = logging.root.handlers[:]
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.handlers[:] = handlers


def weight_file(path: str) -> Path:
    """`path`, if it is a file that may hold weights.

    Raises:
        MissingWeights: there is no such file, or its suffix is not one of `SUFFIXES`.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise MissingWeights(f"there is no file of weights {path}; name a {', '.join(SUFFIXES)} file")
    if file.suffix not in SUFFIXES:
        raise MissingWeights(f"{path} must be a file of weights ({', '.join(SUFFIXES)})")
    return file


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or torch's format read with `weights_only=True`.

    Raises:
        MissingWeights: no such file, damaged, or with more than weights in it (pickled objects can run code).
    """
    from safetensors.torch import load_file

    file = weight_file(path)
    try:
        with quietly():
            held: Any = (
                load_file(file)
                if file.suffix == ".safetensors"
                else torch.load(file, map_location="cpu", weights_only=True)
            )
    except Exception as error:  # damaged files make pickle raise whatever it likes
        raise MissingWeights(f"{file} is no file of weights alone ({first_line(error)})") from error
    for name in ("state_dict", "model"):
        held = held.get(name, held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(each, Tensor) for each in held.values()):
        raise MissingWeights(f"{file} holds no tensors by name; save the network's state_dict() alone")
    refuse_not_finite(held, file, "download or train it again")
    return held


def refuse_not_finite(tensors: Mapping[str, Tensor], source: Path, remedy: str) -> None:
    """Check that no weight is NaN or infinite: one would spoil every number. 10 ms per 10 million weights.

    Raises:
        MissingWeights: one is; `remedy` says what to do.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not value.sum(dtype=torch.float64).isfinite():
            raise MissingWeights(f"{source} is damaged: {name} holds values that are not finite; {remedy}")


def fingerprint(network: nn.Module) -> str:
    """Eight hex digits of a network's weights, from its vectors (biases, norms): the same at any size and place."""
    summed = hashlib.sha256()
    for name, value in network.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            summed.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return summed.hexdigest()[:8]


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for a message of ours."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
