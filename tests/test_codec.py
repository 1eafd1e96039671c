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


def test_shift_rolls_the_picture_and_back() -> None:
    latents = CODEC.encode(images())
    offsets = [(3, 7), (0, 1)]
    moved = CODEC.shift(latents, offsets)
    assert torch.allclose(CODEC.decode(moved)[0], images()[0].roll((3, 7), (1, 2)), atol=1e-6)
    assert torch.equal(CODEC.shift(moved, offsets, sign=-1), latents)


def test_offsets_come_from_the_generators_and_cover_the_patch() -> None:
    draws = [torch.Generator().manual_seed(i) for i in range(64)]
    offsets = CODEC.draw_offsets(draws)
    again = CODEC.draw_offsets([torch.Generator().manual_seed(i) for i in range(64)])
    assert offsets == again
    assert {down for down, _ in offsets} == set(range(8)) == {right for _, right in offsets}
