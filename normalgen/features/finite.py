"""Refuses patch vectors that are not finite."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from normalgen.errors import DataError
from normalgen.features.contract import Features

__all__ = ["NotFinite", "finite", "naming"]


class NotFinite(DataError):
    """A network gave NaN or infinity for an image; whoever knows its name says it.

    Args:
        network: name of the network.
        image: name of the image.
    """

    def __init__(self, network: str, image: str) -> None:
        super().__init__(
            f"the features {network} of {image} are not finite (NaN or infinity); leave that image out, or choose "
            "other --features"
        )
        self.network = network


def finite(levels: list[Tensor], network: str) -> list[Tensor]:
    """Return the levels (N, ...) of a batch as they are.

    Raises:
        NotFinite: one holds NaN or infinity.
    """
    for level in levels:
        whole = level.flatten(1).isfinite().all(1)
        if not whole.all():
            raise NotFinite(network, f"image {int(whole.int().argmin()) + 1} of {len(level)} in a batch")
    return levels


@contextmanager
def naming(network: Features, images: Sequence[Tensor], names: Sequence[str]) -> Iterator[None]:
    """Name the image if one of `images`, parts of uint8 (N, 3, S, S), has vectors that are not finite.

    Raises:
        NotFinite: one has, or else an image made from them.
    """
    try:
        yield
    except NotFinite as error:
        for image, name in zip((image for part in images for image in torch.split(part, 1)), names, strict=True):
            try:
                network.tokens(image.float() / 255)
            except NotFinite:
                raise NotFinite(error.network, name) from error
        raise NotFinite(error.network, f"an image made from {', '.join(names[:3])}") from error
