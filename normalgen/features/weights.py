"""Image sizes, weight files and fingerprints, for the modules that load open_clip and timm."""

import hashlib
import logging
import pickle
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
    """Return images (N, 3, H, W) in [0, 1] squashed to (N, 3, size, size) with an antialiased filter, in [0, 1]."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode=mode, antialias=True).clamp(0, 1)


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (images - mean) / std, channel by channel."""
    return (images - images.new_tensor(mean)[:, None, None]) / images.new_tensor(std)[:, None, None]


def quarters(depth: int) -> tuple[int, ...]:
    """Return the last block, counted from 1, of each quarter of a network: 24 -> 6, 12, 18, 24."""
    return tuple(sorted({max(1, depth * quarter // 4) for quarter in (1, 2, 3, 4)}))


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress warnings and notes on downloads, and restore log handlers and the global random state."""
    handlers, hub = logging.root.handlers[:], logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.handlers[:] = handlers
        hub.setLevel(level)


def weight_file(path: str) -> Path:
    """Return `path`, after checking that it is a file that may hold weights.

    Raises:
        MissingWeights: there is no such file, or its suffix is not one of `SUFFIXES`.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise MissingWeights(f"there is no weight file {path}; name a {', '.join(SUFFIXES)} file")
    if file.suffix not in SUFFIXES:
        raise MissingWeights(f"{path} must be a weight file ({', '.join(SUFFIXES)})")
    return file


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the tensors in a file by name: safetensors, or torch's format read with `weights_only=True`.

    Raises:
        MissingWeights: the file is missing or damaged, or holds more than weights (pickled objects can run code).
    """
    from safetensors.torch import load_file

    file = weight_file(path)
    try:
        with quietly():
            if file.suffix == ".safetensors":
                return load_file(file)
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to run what the file says
        raise MissingWeights(
            f"{file} is damaged or holds more than weights; save only the network's state_dict()"
        ) from error
    except Exception as error:  # pickle raises many kinds of error for damaged files
        raise MissingWeights(f"{file} is damaged or holds more than weights ({first_line(error)})") from error
    for name in ("state_dict", "model"):
        content = content.get(name, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise MissingWeights(f"{file} does not map names to tensors; save only the network's state_dict()")
    refuse_not_finite(content, file, "download or train it again")
    return content


def refuse_not_finite(tensors: Mapping[str, Tensor], source: Path, remedy: str) -> None:
    """Check that no weight is NaN or infinite: one would spoil every number. 10 ms per 10 million weights.

    Raises:
        MissingWeights: one is; `remedy` says what to do.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not value.sum(dtype=torch.float64).isfinite():
            raise MissingWeights(f"{source} is damaged: {name} holds values that are not finite; {remedy}")


def fingerprint(network: nn.Module) -> str:
    """Return eight hex digits of a network's weights, from its vectors (biases, norms): equal at any image size."""
    hasher = hashlib.sha256()
    for name, value in network.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            hasher.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return hasher.hexdigest()[:8]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, to quote in ours."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
