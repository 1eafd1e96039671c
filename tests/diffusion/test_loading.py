"""Which weights are opened, and what is said of those that cannot be."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_stable import published, write_stable

from normalgen.cli import main
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.stable_diffusion import StableParts
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.io.progress import silent
from normalgen.pipeline.preparation import Preparation
from normalgen.references import References
from normalgen.settings.presets import Preset, change, preset
from normalgen.settings.prompts import INSTANCE_PROMPT


@pytest.fixture
def copy(stable_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stable_folder, tmp_path / "copy"))


def draw(model: NormalModel) -> torch.Tensor:
    return model.sample([0], prompts=[INSTANCE_PROMPT], seed=0)


def test_a_hub_name_that_cannot_be_had_says_what_to_do() -> None:
    with pytest.raises(MissingWeights, match=r"hf download some/model.*--weights FOLDER"):
        open_parts("some/model")


@pytest.mark.parametrize("name", ["unet", "vae", "text_encoder"])
def test_pickled_weights_are_refused(copy: Path, name: str) -> None:
    (found,) = (copy / name).glob("*.safetensors")
    found.rename(found.with_suffix(".bin"))
    with pytest.raises(MissingWeights, match=rf"{name} holds only pickled weights .*safe_serialization=True"):
        open_parts(str(copy))


@pytest.mark.parametrize("name", ["unet/config.json", "tokenizer/vocab.json", "scheduler/scheduler_config.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(MissingWeights, match=f"{name.partition('/')[0]} is missing or damaged"):
        open_parts(str(copy))


def test_damaged_weights_are_named(copy: Path) -> None:
    (copy / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(MissingWeights, match="vae is missing or damaged"):
        open_parts(str(copy))


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :3].contiguous()
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(MissingWeights, match="unet is missing or damaged"):
        open_parts(str(copy))


def test_a_folder_of_something_else_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"neither model_index\.json .* nor tiny\.json"):
        open_parts(str(tmp_path))


def test_half_precision_files_do(tmp_path: Path, stable: Preset) -> None:
    half = write_stable(tmp_path / "half", suffix=".fp16")
    weight = open_parts(str(half)).denoiser.get_parameter("conv_in.weight")
    whole = open_parts(stable.weights).denoiser.get_parameter("conv_in.weight")
    assert weight.dtype == torch.float32
    assert torch.equal(weight, whole.half().float())


def test_published_names_of_the_text_encoder_are_all_read(stable: Preset) -> None:
    parts = open_parts(stable.weights)
    assert isinstance(parts, StableParts)
    written = load_file(Path(stable.weights) / "text_encoder" / "model.safetensors")
    found = parts.prompt_encoder.text_encoder.state_dict()
    assert all(torch.equal(written[published(name)], value) for name, value in found.items())


def test_the_digest_is_of_the_weights(copy: Path, stable: Preset) -> None:
    assert open_parts(str(copy)).digest == open_parts(stable.weights).digest
    write_stable(copy, suffix=".fp16")
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert open_parts(str(copy)).digest != open_parts(stable.weights).digest


def test_a_prompt_too_long_for_clip_is_refused(stable: Preset) -> None:
    encoder = open_parts(stable.weights).prompt_encoder
    with pytest.raises(PresetError, match="77 tokens"):
        encoder(["a photo of {object} " * 20], "bolt")


def adapters(names: list[str]) -> LoraConfig:
    return LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=names)


def community_lora(stable: Preset, folder: Path) -> Path:
    """As diffusers' own script saves it: UNet and text encoder, scale 2."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        stable.weights, safety_checker=None, requires_safety_checker=False, feature_extractor=None
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        layers = []
        for module, names in ((pipeline.unet, ["to_q", "to_v"]), (pipeline.text_encoder, ["q_proj", "v_proj"])):
            inject_adapter_in_model(adapters(names), module)
            layers.append(get_peft_model_state_dict(module))
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers[0], text_encoder_lora_layers=layers[1])
    return folder


def test_a_lora_that_others_trained_is_taken_up_as_diffusers_does(
    references: References, stable: Preset, tmp_path: Path
) -> None:
    folder = community_lora(stable, tmp_path / "lora")
    (file,) = folder.iterdir()
    base = NormalModel(open_parts(stable.weights), stable, category="good", noun="bolt")
    adopted = [NormalModel.adopt(path, stable, category="good", noun="bolt") for path in (folder, file)]
    assert torch.equal(draw(adopted[0]), draw(adopted[1]))
    assert not torch.allclose(draw(adopted[0]), draw(base), atol=1e-2)
    making = Preparation(replace(references, noun="bolt"), stable, {}, file, seed=0, device="cpu")
    assert torch.equal(draw(making.model(silent)), draw(adopted[0]))
    parts = adopted[0].parts
    assert isinstance(parts, StableParts)
    peer = StableDiffusionPipeline.from_pretrained(
        stable.weights, safety_checker=None, requires_safety_checker=False, feature_extractor=None
    )
    text = {name.removeprefix("text_encoder."): value for name, value in load_file(file).items() if "text" in name}
    with torch.random.fork_rng(devices=[]):
        peer.unet.load_lora_adapter(load_file(file), prefix="unet")
        inject_adapter_in_model(adapters(["q_proj", "v_proj"]), peer.text_encoder)
        set_peft_model_state_dict(peer.text_encoder, text)
    given = torch.ones(1, 4, 8, 8), torch.tensor([300]), torch.ones(1, 77, 24)
    with torch.no_grad():
        assert torch.allclose(parts.denoiser(*given).sample, peer.unet(*given).sample, atol=1e-5)
        ids = torch.arange(77)[None]
        assert torch.allclose(parts.pipeline.text_encoder(ids)[0], peer.text_encoder(ids)[0], atol=1e-5)


def test_what_is_no_lora_is_refused(stable: Preset, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="must be a LoRA in safetensors"):
        NormalModel.adopt(tmp_path, stable, category="good", noun="bolt")
    save_file({"unet.nowhere.lora_A.weight": torch.ones(2, 2)}, tmp_path / "odd.safetensors")
    with pytest.raises(MissingWeights, match=r"odd\.safetensors is not a LoRA of this model"):
        NormalModel.adopt(tmp_path, stable, category="good", noun="bolt")


def test_distilled_weights_are_merged_for_sampling_alone(stable: Preset, tmp_path: Path) -> None:
    lora = community_lora(stable, tmp_path / "lora")
    model = NormalModel(open_parts(stable.weights).prepare_training(stable), stable, category="good", noun="bolt")
    saved = model.save(tmp_path / "m")
    fast = NormalModel.load(
        tmp_path / "m", changes={"sample": {"distilled": str(lora), "sampler": "lcm", "explicit_steps": 2}}
    )
    assert not torch.allclose(draw(fast), draw(saved), atol=1e-3)
    assert json.loads((tmp_path / "m" / "preset.json").read_text())["preset"]["sample"]["distilled"] == ""
    with pytest.raises(PresetError, match="load the model again"):
        fast.using(change(fast.preset, sample={"distilled": ""}))
    with pytest.raises(PresetError, match="which the tiny preset does not take"):
        open_parts("bundled").merge(lora)


def test_bfloat16_is_close_and_half_the_size(stable: Preset, tmp_path: Path) -> None:
    model = NormalModel(open_parts(stable.weights).prepare_training(stable), stable, category="good", noun="bolt")
    model.save(tmp_path / "m")
    half = NormalModel.load(tmp_path / "m", changes={"sample": {"precision": "bfloat16"}})
    assert {parameter.dtype for parameter in half.parts.denoiser.parameters()} == {torch.bfloat16}
    rough, exact = draw(half), draw(NormalModel.load(tmp_path / "m"))
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert torch.allclose(rough, exact, atol=0.05)


def test_a_lora_on_another_base_is_another_model(copy: Path, stable: Preset, tmp_path: Path) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.bias"] += 1
    save_file(weights, path, metadata={"format": "pt"})
    lora = community_lora(stable, tmp_path / "lora")
    bases = (stable, stable, change(stable, weights=str(copy)))
    first, again, other = (NormalModel.adopt(lora, base, category="good", noun="bolt").digest for base in bases)
    assert first == again != other


def test_a_model_saved_with_distilled_weights_holds_them_once(stable: Preset, tmp_path: Path) -> None:
    lora = str(community_lora(stable, tmp_path / "lora"))
    model = NormalModel(open_parts(stable.weights).prepare_training(stable), stable, category="good", noun="bolt")
    plain = model.save(tmp_path / "m").digest
    fast = NormalModel.load(tmp_path / "m", changes={"sample": {"distilled": lora}})
    assert fast.digest != plain
    before = draw(fast)
    fast.save(tmp_path / "fast")
    assert torch.allclose(draw(fast), before, atol=1e-2)
    again = NormalModel.load(tmp_path / "fast", changes={"sample": {"distilled": lora}})
    assert torch.equal(draw(again), draw(fast))
    assert again.digest == fast.digest
    with pytest.raises(PresetError, match="merged into this model when it was saved"):
        NormalModel.load(tmp_path / "fast", changes={"sample": {"distilled": ""}})


@pytest.mark.parametrize("lora", [True, False])
def test_models_of_others_ask_for_a_preset_of_their_kind(stable: Preset, tmp_path: Path, lora: bool) -> None:
    path = community_lora(stable, tmp_path / "lora") if lora else Path(stable.weights)
    with pytest.raises(PresetError, match="add --preset sd15"):
        NormalModel.adopt(path, preset("tiny"), category="good", noun="bolt")


def test_personalize_takes_models_of_others(
    stable: Preset, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora, out = community_lora(stable, tmp_path / "lora"), tmp_path / "twins"
    words = ["personalize", str(photos / "0.png"), "--model", str(lora), "--out", str(out), "--device", "cpu"]
    with pytest.raises(SystemExit, match="1"):
        main(words)
    assert "add --preset sd15" in capsys.readouterr().err
    quick = ["--preset", "sd15", "--weights", stable.weights, "--prompts", "1", "--steps", "1", "--object", "bolt"]
    with pytest.raises(SystemExit, match="0"):
        main([*words, *quick])
    assert [path.name for path in (out / "twin").iterdir()] == ["0.png"]


def scheduled(folder: Path, **settings: str) -> Path:
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize("spacing", ["leading", "linspace"])
def test_steps_are_spaced_as_the_published_scheduler_says(copy: Path, spacing: str) -> None:
    scheduled(copy, timestep_spacing=spacing)
    schedule, peer = open_parts(str(copy)).schedule, DDIMScheduler.from_pretrained(copy, subfolder="scheduler")
    for steps in (1, 3, 10, 30, 50):
        peer.set_timesteps(steps)
        assert schedule.timesteps(steps, 1.0) == peer.timesteps.tolist()


@pytest.mark.parametrize("name", ["prediction_type", "timestep_spacing"])
def test_a_scheduler_of_an_unknown_kind_is_refused(copy: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"scheduler: {name} must be one of .*, got 'flow'"):
        open_parts(str(scheduled(copy, **{name: "flow"})))
