"""What a step of customization learns from."""

import platformdirs
import pytest
import torch

from normalgen.customizing.training_batches import batches, class_images
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.images.turning import turnable
from normalgen.settings.presets import Preset, change

NOISE = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PHOTOS = [turnable(photo) for photo in NOISE]
CLASSES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def opened(preset: Preset) -> NormalModel:
    return NormalModel(open_parts(preset.weights).prepare_training(preset), preset, category="", noun="part")


def test_views_looked_at_once_are_pieces_where_pieces_are_asked_for(stable: Preset) -> None:
    whole, pieces = (
        batches(opened(change(stable, train={"views": 2, "piece": piece})), PHOTOS, CLASSES, seed=0)(0)
        for piece in (0, 32)
    )
    assert whole.encoded
    assert pieces.encoded
    assert pieces.images.shape[0] == whole.images.shape[0] == stable.train.batch + stable.train.class_batch
    assert [2 * side for side in pieces.images.shape[2:]] == list(whole.images.shape[2:])


def test_views_come_in_turns_of_references(stable: Preset) -> None:
    batch_at = batches(opened(change(stable, train={"views": 2, "batch": 4})), PHOTOS, None, seed=0)
    first = batch_at(0).images
    assert torch.equal(first, batch_at(1).images)  # two views of two photos: four places
    assert len({view.sum().item() for view in first}) == 4


def kept() -> set[str]:
    """The folders of class images in the user's cache."""
    return {path.name for path in (platformdirs.user_cache_path("normalgen") / "class-images").iterdir()}


def test_class_images_of_a_named_preset_do_not_depend_on_how_the_user_samples(small: Preset) -> None:
    first = class_images(opened(small), seed=0)
    assert torch.equal(class_images(opened(change(small, sample={"steps": 9, "explicit_steps": 3})), seed=0), first)
    (name,) = kept()
    assert "-tiny-32-4-" in name


@pytest.mark.parametrize("changes", [{"explicit_steps": 2}, {"guidance": 3.0}, {"sampler": "lcm"}])
def test_class_images_of_a_preset_of_another_name_are_drawn_as_it_says(
    changes: dict[str, object], small: Preset
) -> None:
    own = change(small, name="mine/fast")
    first, other = (class_images(opened(change(own, sample=given)), seed=0) for given in ({}, changes))
    assert first.shape == other.shape == (2, 3, 32, 32)
    assert not torch.equal(first, other)
    assert len(kept()) == 2
    assert torch.equal(class_images(opened(own), seed=0), first)
    assert len(kept()) == 2
