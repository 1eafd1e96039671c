import numpy as np
import torch

from normalgen.diffusion.codec import PixelCodec

CODEC = PixelCodec(8, 32)


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_pixels_survive_exactly_to_the_8_bits() -> None:
    decoded = CODEC.decode(CODEC.encode(images()))
    assert torch.equal((decoded * 255).round(), (images() * 255).round())


def test_latents_have_the_stated_shape_and_range() -> None:
    latents = CODEC.encode(images())
    assert latents.shape == (2, *CODEC.latent_shape(32)) == (2, 192, 4, 4)
    assert latents.min() >= -1
    assert latents.max() <= 1


EVERY = [(down, right) for down in range(8) for right in range(8)]


def test_unshift_undoes_shift_at_every_offset() -> None:
    latents = CODEC.encode(images())[:1].expand(len(EVERY), -1, -1, -1)
    assert torch.equal(CODEC.unshift(CODEC.shift(latents, EVERY), EVERY), latents)


def test_shift_moves_the_picture_and_mirrors_it_outwards() -> None:
    moved = CODEC.shift(CODEC.encode(images())[:1].expand(len(EVERY), -1, -1, -1), EVERY)
    assert moved.shape == (len(EVERY), *CODEC.latent_shape(40))
    for picture, (down, right) in zip(CODEC.decode(moved), EVERY, strict=True):
        borders = [(0, 0), (down, 8 - down), (right, 8 - right)]
        np.testing.assert_allclose(picture, np.pad(images()[0], borders, mode="reflect"), atol=1e-6)


def test_each_picture_is_moved_by_its_own_offset() -> None:
    latents, offsets = CODEC.encode(images()), [(3, 7), (0, 1)]
    alone = [CODEC.shift(latents[i : i + 1], offsets[i : i + 1]) for i in range(2)]
    assert torch.equal(CODEC.shift(latents, offsets), torch.cat(alone))


def test_offsets_come_from_the_generators_and_cover_the_patch() -> None:
    draws = [torch.Generator().manual_seed(i) for i in range(64)]
    offsets = CODEC.draw_offsets(draws)
    again = CODEC.draw_offsets([torch.Generator().manual_seed(i) for i in range(64)])
    assert offsets == again
    assert {down for down, _ in offsets} == set(range(8)) == {right for _, right in offsets}
