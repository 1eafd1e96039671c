"""What a step of customization learns from."""

import torch

from normalgen.batches import batches
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.opening import open_parts
from normalgen.presets import Preset, change

PHOTOS = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def opened(preset: Preset) -> NormalModel:
    return NormalModel(open_parts(preset.weights).prepare_training(preset), preset, category="", noun="part")


def test_views_looked_at_once_are_pieces_where_pieces_are_asked_for(stable: Preset) -> None:
    whole, pieces = (
        batches(opened(change(stable, views=2, piece=piece)), PHOTOS, CLASSES, seed=0)(0) for piece in (0, 32)
    )
    assert whole.encoded
    assert pieces.encoded
    assert pieces.images.shape[0] == whole.images.shape[0] == stable.batch + stable.class_batch
    assert [2 * side for side in pieces.images.shape[2:]] == list(whole.images.shape[2:])


def test_views_come_in_turns_of_references(stable: Preset) -> None:
    batch_at = batches(opened(change(stable, views=2, batch=4)), PHOTOS, None, seed=0)
    first = batch_at(0).images
    assert torch.equal(first, batch_at(1).images)  # two views of two photos: four places
    assert len({view.sum().item() for view in first}) == 4
