import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from tiny_timm import saved
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.open_features import open_features
from normalgen.features.timm import TimmFeatures, levels


def noise(count: int = 2, size: int = 160) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved("test_vit", tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved("test_resnet", tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(("size", "side"), [(None, 10), (96, 6), (240, 15)])
def test_transformers_give_their_quarters_on_a_grid_without_class_tokens(vit: str, size: int | None, side: int) -> None:
    features = open_features(f"timm:test_vit:{vit}", size=size)
    assert [tuple(level.shape) for level in features.tokens(noise())] == [(2, side, side, 64)] * 4
    assert features.text is None


def test_convolutional_networks_give_strides_of_4_8_and_16(resnet: str) -> None:
    shapes = [tuple(level.shape) for level in TimmFeatures("test_resnet", weights=resnet).tokens(noise())]
    assert shapes == [(2, 40, 40, 32), (2, 20, 20, 48), (2, 10, 10, 192)]


@torch.inference_mode()
def test_levels_are_what_the_blocks_give_from_images_scaled_as_the_model_wants(vit: str) -> None:
    features = TimmFeatures("test_vit", weights=vit)
    mean, std = (torch.tensor(part)[:, None, None] for part in (features.mean, features.std))
    network, given, outputs = features.network, (noise() - mean) / std, []
    inside = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(given))))
    for block in network.blocks:
        inside = block(inside)
        outputs.append(inside[:, network.num_prefix_tokens :])
    expected = [outputs[level] for level in features.levels]
    pairs = zip(features.tokens(noise()), expected, strict=True)
    assert features.levels == (0, 2, 3, 5)
    assert all(torch.allclose(one.flatten(1, 2), other, atol=1e-4) for one, other in pairs)


@pytest.mark.parametrize(
    ("strides", "chosen"),
    [([2, 4, 8, 16, 32], (1, 2, 3)), ([4, 8, 16, 32], (0, 1, 2)), ([14] * 12, (2, 5, 8, 11)), ([32, 64], (0, 1))],
)
def test_levels_are_the_middle_of_a_pyramid_or_the_quarters_of_a_column(
    strides: list[int], chosen: tuple[int, ...]
) -> None:
    assert levels(strides) == chosen


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_images_have_one_vector_of_unit_length(name: str, vit: str, resnet: str) -> None:
    vectors = TimmFeatures(name, weights={"test_vit": vit, "test_resnet": resnet}[name]).image(noise(3))
    assert vectors.ndim == 2
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)


def test_the_name_says_which_weights_at_any_size(vit: str) -> None:
    whole, small = TimmFeatures("test_vit", weights=vit), TimmFeatures("test_vit", weights=vit, size=96)
    assert whole.name == small.name
    assert whole.name.startswith("timm:test_vit@")


def test_weights_in_torchs_format_are_read_and_pickled_objects_are_not(resnet: str, tmp_path: Path) -> None:
    features = TimmFeatures("test_resnet", weights=resnet)
    torch.save({"state_dict": features.network.state_dict()}, tmp_path / "same.pt")
    assert TimmFeatures("test_resnet", weights=str(tmp_path / "same.pt")).name == features.name
    torch.save(nn.Linear(1, 1, device="meta"), tmp_path / "code.pt")
    with pytest.raises(MissingWeights, match="is damaged or holds more than weights"):
        TimmFeatures("test_resnet", weights=str(tmp_path / "code.pt"))


def test_what_is_not_there_is_told_of(vit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PresetError, match="timm has no model 'resnet19'"):
        open_features("timm:resnet19")
    with pytest.raises(PresetError, match=r"cannot take 100 px .*choose another size"):
        open_features(f"timm:test_vit:{vit}", size=100)
    with pytest.raises(MissingWeights, match="there is no weight file gone"):
        open_features("timm:test_vit:gone")
    with pytest.raises(MissingWeights, match="does not hold weights of timm's test_resnet"):
        open_features(f"timm:test_resnet:{vit}")

    def offline(name: str, pretrained: bool, pretrained_cfg_overlay: None) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MissingWeights, match="hf download timm/resnet18; else give a file: timm:resnet18:FILE"):
        open_features("timm:resnet18")


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependency, match="pip install timm"):
        open_features("timm:resnet18")


@torch.inference_mode()
def test_cnn_tokens_are_raw_means_of_neighbours_at_256_pixels() -> None:
    features = open_features("cnn")
    assert isinstance(features, CnnFeatures)
    assert (features.name.partition("@")[0], features.size, features.text) == ("cnn:1,2,3", 256, None)
    tokens = features.tokens(noise(1, 300))
    assert [tuple(level.shape) for level in tokens] == [(1, 32, 32, 24), (1, 32, 32, 40), (1, 16, 16, 112)]
    seen = interpolate(noise(1, 300), (256, 256), mode="bilinear", antialias=True).clamp(0, 1)
    near = avg_pool2d(features.maps(seen)[0], 3, 1, 1, count_include_pad=False)
    assert torch.allclose(tokens[0], adaptive_avg_pool2d(near, 32).permute(0, 2, 3, 1), atol=1e-4)


def test_cnn_features_of_another_size_have_more_patches_and_at_least_32_pixels() -> None:
    tokens = open_features("cnn", size=512).tokens(noise(1, 300))
    assert [tuple(level.shape[1:3]) for level in tokens] == [(64, 64), (64, 64), (32, 32)]
    with pytest.raises(PresetError, match="32 px or more, got size 16"):
        open_features("cnn", size=16)


def test_importing_features_imports_neither_timm_nor_open_clip() -> None:
    code = "import sys, normalgen.features; print({'timm', 'open_clip', 'torchvision'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_layers_are_chosen_by_index_also_from_the_end(resnet: str) -> None:
    features = open_features(f"timm:test_resnet:{resnet}", layers=(2, -2))
    shapes = [tuple(level.shape) for level in features.tokens(noise())]
    assert shapes == [(2, 20, 20, 48), (2, 10, 10, 192)]
    assert features.name != open_features(f"timm:test_resnet:{resnet}").name


@torch.inference_mode()
def test_the_last_block_of_a_transformer_comes_after_its_norm(vit: str) -> None:
    features = TimmFeatures("test_vit", weights=vit, layers=[-1])
    whole = features.network.forward_features(features._prepared(noise()))
    (level,) = features.tokens(noise())
    assert torch.allclose(level.flatten(1, 2), whole[:, features.network.num_prefix_tokens :], atol=1e-5)


@pytest.mark.parametrize("layers", [(9,), (-9,), ()])
def test_layers_that_a_network_lacks_are_refused(resnet: str, layers: tuple[int, ...]) -> None:
    with pytest.raises(PresetError, match="has the layers 0 to 4"):
        open_features(f"timm:test_resnet:{resnet}", layers=layers)


def test_features_with_fixed_layers_take_no_others() -> None:
    with pytest.raises(PresetError, match="'cnn' have fixed layers"):
        open_features("cnn", layers=(1,))


def test_layers_may_depend_on_how_many_there_are(resnet: str) -> None:
    features = open_features(f"timm:test_resnet:{resnet}", layers=lambda count: [count - 1])
    assert [level.shape[-1] for level in features.tokens(noise())] == [96]


@pytest.mark.parametrize("layers", [(12,), (-13,), ()])
def test_blocks_that_the_vision_transformer_lacks_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(PresetError, match="vit has the layers 0 to 11"):
        open_features("vit", layers=layers)
