"""The torch device that a run computes on."""

from normalgen.errors import DataError

__all__ = ["pick_device"]


def pick_device(name: str) -> str:
    """Return the torch device called `name`: "cpu", "cuda", "cuda:1", "mps"; "auto" picks the fastest one available.

    Raises:
        DataError: the name is unknown, or this machine has no such device.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    kind, colon, number = name.partition(":")
    if kind not in available or (colon and not number.isdecimal()):
        raise DataError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if not available[kind] or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise DataError(f"this machine has no device {name!r}; use --device auto (see: normalgen doctor)")
    return name
