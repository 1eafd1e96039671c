"""A LoRA from a file, merged as diffusers merges it into a UNet, and as its equation says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.lora import merge_lora
from normalgen.diffusion.stable_diffusion import StableParts
from normalgen.errors import MissingWeights
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset

BLOCK = "down_blocks.0.attentions.0"
ATTENTION = [f"{BLOCK}.transformer_blocks.0.attn{i}.{name}" for i in (1, 2) for name in ("to_q", "to_v", "to_out.0")]
OTHERS = [f"{BLOCK}.proj_in", f"{BLOCK}.transformer_blocks.0.ff.net.2", "down_blocks.0.resnets.0.conv1"]
TEXT = [f"encoder.layers.1.{name}" for name in ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")]
Namer = Callable[[str, str, str], str]


def opened(stable: Preset) -> StableParts:
    parts = open_parts(stable.weights)
    assert isinstance(parts, StableParts)
    return parts


def plain(stable: Preset) -> Any:
    return StableDiffusionPipeline.from_pretrained(
        stable.weights, safety_checker=None, requires_safety_checker=False, feature_extractor=None
    )


def drawn(module: torch.nn.Module, layers: list[str], rank: int = 3) -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up of each layer; a convolution's have its kernel and 1 x 1."""
    pairs = {}
    for layer in layers:
        found = module.get_submodule(layer if hasattr(module, layer.split(".")[0]) else f"text_model.{layer}")
        rows, columns, *kernel = found.get_parameter("weight").shape
        draw = generator("lora", layer)
        down = torch.randn(rank, columns, *kernel, generator=draw)
        pairs[layer] = down, torch.randn(rows, rank, *[1] * len(kernel), generator=draw)
    return pairs


def peft(part: str, layer: str, half: str) -> str:
    return f"{prefix(part)}{layer}.lora_{'A' if half == 'down' else 'B'}.weight"


def diffusers(part: str, layer: str, half: str) -> str:
    return f"{prefix(part)}{layer}.lora{'' if part == 'unet' else '_linear_layer'}.{half}.weight"


def before_peft(part: str, layer: str, half: str) -> str:
    head, _, name = layer.partition(".attn" if part == "unet" else "self_attn.")
    if part == "unet" and name:
        return f"unet.{head}.attn{name[0]}.processor.{name[2:].removesuffix('.0')}_lora.{half}.weight"
    if name:
        return f"{prefix(part)}{head}self_attn.to_{name.removesuffix('_proj')}_lora.{half}.weight"
    return diffusers(part, layer, half)


def kohya(part: str, layer: str, half: str) -> str:
    start = "lora_unet_" if part == "unet" else "lora_te_text_model_"
    return f"{start}{layer.replace('.', '_')}.{'alpha' if half == 'alpha' else f'lora_{half}.weight'}"


def prefix(part: str) -> str:
    return "unet." if part == "unet" else "text_encoder.text_model."


def written(file: Path, part: str, pairs: dict[str, tuple[Tensor, Tensor]], name: Namer) -> dict[str, Tensor]:
    tensors = {
        name(part, layer, half): value
        for layer, pair in pairs.items()
        for half, value in zip(("down", "up"), pair, strict=True)
    }
    save_file(tensors, file)
    return tensors


NAMINGS = pytest.mark.parametrize("name", [peft, diffusers, before_peft, kohya])


@NAMINGS
@pytest.mark.parametrize("layers", [ATTENTION, OTHERS], ids=["attention", "others"])
def test_a_unet_becomes_what_diffusers_makes_of_it(
    stable: Preset, tmp_path: Path, name: Namer, layers: list[str]
) -> None:
    parts, peer = opened(stable), plain(stable)
    tensors = written(tmp_path / "l.safetensors", "unet", drawn(parts.denoiser, layers), name)
    if name is kohya:
        tensors |= {name("unet", layer, "alpha"): torch.tensor(6.0) for layer in layers}
        save_file(tensors, tmp_path / "l.safetensors")
    before = {key: value.clone() for key, value in parts.denoiser.state_dict().items()}
    merged = parts.merge(tmp_path / "l.safetensors")
    with torch.random.fork_rng(devices=[]):
        peer.load_lora_weights(tmp_path, weight_name="l.safetensors")
    peer.fuse_lora(components=["unet"])
    peer.unload_lora_weights()
    theirs = peer.unet.state_dict()
    assert all(torch.allclose(value, theirs[key], atol=1e-5) for key, value in merged.denoiser.state_dict().items())
    assert {key for key in before if not torch.equal(before[key], theirs[key])} == {f"{key}.weight" for key in layers}
    assert not merged.taught


@NAMINGS
def test_a_text_encoder_becomes_what_the_equation_says(stable: Preset, tmp_path: Path, name: Namer) -> None:
    parts = opened(stable)
    encoder = parts.pipeline.text_encoder
    pairs = drawn(encoder, TEXT)
    tensors = written(tmp_path / "l.safetensors", "text_encoder", pairs, name)
    alphas = {layer: float(3 + index) if name is kohya else 3.0 for index, layer in enumerate(TEXT)}
    if name is kohya:
        tensors |= {name("text_encoder", layer, "alpha"): torch.tensor(alpha) for layer, alpha in alphas.items()}
        save_file(tensors, tmp_path / "l.safetensors")
    expected = {key.removeprefix("text_model."): value.clone() for key, value in encoder.state_dict().items()}
    for layer, (down, up) in pairs.items():
        expected[f"{layer}.weight"] += torch.einsum("or,ri->oi", up, down) * alphas[layer] / 3
    assert parts.merge(tmp_path / "l.safetensors").taught
    found = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    assert all(torch.allclose(found[key], expected[key], atol=1e-5) for key in expected)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"alpha_pattern": {"attn1.to_q": 5}}], ids=str)
def test_settings_beside_the_tensors_count_as_in_diffusers(
    stable: Preset, tmp_path: Path, options: dict[str, Any]
) -> None:
    parts, peer = opened(stable), plain(stable)
    layers = [layer for layer in ATTENTION if not layer.endswith("0")]
    tensors = written(tmp_path / "l.safetensors", "unet", drawn(parts.denoiser, layers), peft)
    config = LoraConfig(r=3, lora_alpha=12, target_modules=layers, **options).to_dict()
    known = {f"unet.{key}": sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(known)}
    save_file(tensors, tmp_path / "l.safetensors", metadata=metadata)
    parts.merge(tmp_path / "l.safetensors")
    with torch.random.fork_rng(devices=[]):
        peer.load_lora_weights(tmp_path, weight_name="l.safetensors")
    peer.fuse_lora(components=["unet"])
    ours = parts.denoiser.state_dict()
    for layer in layers:
        theirs = peer.unet.get_submodule(layer).base_layer.weight
        assert torch.allclose(ours[f"{layer}.weight"], theirs, atol=1e-5)


ONES = {half: torch.ones(shape) for half, shape in (("down", (2, 24)), ("up", (24, 2)))}
Q = f"text_encoder.{TEXT[0]}"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "it holds no weights"),
        ({"unet.conv_in.weight": ONES["up"]}, r"unet\.conv_in\.weight is not a weight of a LoRA"),
        ({"text_encoder_2.a.lora_A.weight": ONES["down"]}, "text_encoder_2.* is not a weight of a LoRA"),
        ({f"{Q}.lora_magnitude_vector": ONES["up"]}, "lora_magnitude_vector is not a weight of a LoRA"),
        ({"unet.nowhere.lora_A.weight": ONES["down"]}, r"the model has no layer unet\.nowhere"),
        ({f"{Q}.lora_A.weight": ONES["down"]}, "q_proj must have up and down, got only down"),
        ({f"{Q}.lora_A.weight": ONES["up"], f"{Q}.lora_B.weight": ONES["down"]}, r"q_proj is \(24, 24\) in the model"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    stable: Preset, tmp_path: Path, tensors: dict[str, Tensor], words: str
) -> None:
    parts = opened(stable)
    encoder = parts.pipeline.text_encoder
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    fitting = {f"text_encoder.{TEXT[1]}.lora.{half}.weight": value for half, value in ONES.items()} if tensors else {}
    save_file({key: value.clone() for key, value in (fitting | tensors).items()}, tmp_path / "l.safetensors")
    with pytest.raises(MissingWeights, match=rf"l\.safetensors is not a LoRA of this model \(.*{words}"):
        parts.merge(tmp_path / "l.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_a_damaged_file_is_refused(stable: Preset, tmp_path: Path) -> None:
    (tmp_path / "l.safetensors").write_bytes(b"nothing")
    with pytest.raises(MissingWeights, match="is not a LoRA of this model"):
        opened(stable).merge(tmp_path / "l.safetensors")


def test_half_precision_is_added_in_single(stable: Preset, tmp_path: Path) -> None:
    encoder = opened(stable).pipeline.text_encoder
    ((layer, (down, up)),) = drawn(encoder, TEXT[:1]).items()
    written(tmp_path / "l.safetensors", "text_encoder", {layer: (down.half(), up.half())}, peft)
    name = next(key for key in encoder.state_dict() if key.endswith(f"{layer}.weight"))
    expected = encoder.state_dict()[name] + up.half().float() @ down.half().float()
    assert merge_lora({"text_encoder": encoder}, tmp_path / "l.safetensors") == {"text_encoder"}
    assert torch.equal(encoder.state_dict()[name], expected)
