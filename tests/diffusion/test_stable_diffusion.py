"""Stable Diffusion through our door equals diffusers' own pipelines and training script, on random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from peft import LoraConfig
from tiny_stable import write_stable
from torch.nn.functional import mse_loss

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.training import Batch, Noising, TrainingPlan, denoising_loss, train
from normalgen.io.atomic import PARTIAL
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset, change
from normalgen.settings.prompts import CLASS_PROMPT, INSTANCE_PROMPT, fill

PROMPTS = ["a photo of normal {object} without flaw", "a dark photo of normal {object} without flaw"]


def pictures(count: int, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=generator("pictures"))


def opened(settings: Preset) -> NormalModel:
    return NormalModel(open_parts(settings.weights), settings, category="good", noun="bolt")


def peer(kind: Any, folder: str | Path) -> Any:
    """diffusers' pipeline of the same folder, with DDIM."""
    pipeline = kind.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, feature_extractor=None, use_safetensors=True
    )
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def their_samples(pipeline: Any, settings: Preset, seed: int = 0) -> torch.Tensor:
    images: torch.Tensor = pipeline(
        [fill(prompt, "bolt") for prompt in PROMPTS],
        height=settings.size,
        width=settings.size,
        num_inference_steps=settings.sample.steps,
        guidance_scale=settings.sample.guidance,
        generator=[generator("sample", seed, index) for index in range(2)],
        output_type="pt",
    ).images
    return images


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("guidance", [7.5, 1.0])
def test_sample_equals_the_pipeline(stable: Preset, tmp_path: Path, prediction: str, guidance: float) -> None:
    folder = write_stable(tmp_path / "sd", prediction=prediction)
    settings = change(stable, weights=str(folder), sample={"guidance": guidance})
    ours = opened(settings).sample([0, 1], prompts=PROMPTS, seed=0)
    theirs = their_samples(peer(StableDiffusionPipeline, folder), settings)
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert ours.std() > 0.01


@pytest.mark.parametrize(("strength", "steps"), [(0.3, 10), (0.5, 7), (1.0, 4)])
def test_restore_equals_the_img2img_pipeline(stable: Preset, strength: float, steps: int) -> None:
    settings = change(stable, sample={"steps": steps})
    images = pictures(2)
    ours = opened(settings).restore(images, prompts=PROMPTS, strength=strength, seed=5)
    theirs = peer(StableDiffusionImg2ImgPipeline, stable.weights)(
        [fill(prompt, "bolt") for prompt in PROMPTS],
        image=images,
        strength=strength,
        num_inference_steps=steps,
        guidance_scale=7.5,
        generator=[generator("restore", 5, index) for index in range(2)],
        output_type="pt",
    ).images
    assert torch.allclose(ours, theirs, atol=1e-4)


def their_loss(pipeline: Any, images: torch.Tensor, drawn: Noising, draws: list[torch.Generator]) -> torch.Tensor:
    """train_dreambooth.py: the first half of the batch are instance images, the second class images, weight 1."""
    for each in draws:
        torch.rand((1,), generator=each)  # our noise level comes first from the same generators
    posterior = pipeline.vae.encode(images * 2 - 1).latent_dist
    rows = [torch.randn(posterior.mean.shape[1:], generator=each) for each in draws]
    latents = (posterior.mean + posterior.std * torch.stack(rows)) * pipeline.vae.config.scaling_factor
    noisy = pipeline.scheduler.add_noise(latents, drawn.noise, drawn.t)
    sentences = [fill(INSTANCE_PROMPT, "bolt"), fill(CLASS_PROMPT, "bolt")]
    ids = pipeline.tokenizer(sentences, padding="max_length", max_length=77, return_tensors="pt").input_ids
    text = pipeline.text_encoder(ids)[0]
    found = pipeline.unet(noisy, drawn.t, text).sample
    instance, preserved = found.chunk(2)
    noise, class_noise = drawn.noise.chunk(2)
    return mse_loss(instance, noise) + 1.0 * mse_loss(preserved, class_noise)


def draws() -> list[torch.Generator]:
    return [generator("train", 0, 0, row) for row in range(2)]


BATCH = Batch(pictures(2), [INSTANCE_PROMPT, CLASS_PROMPT], torch.tensor([1.0, 1.0]))


def test_the_loss_equals_the_dreambooth_script(stable: Preset) -> None:
    model = opened(stable)
    drawn = Noising.draw(model, BATCH, draws())
    with torch.no_grad():
        theirs = their_loss(peer(StableDiffusionPipeline, stable.weights), BATCH.images, drawn, draws())
        assert torch.allclose(denoising_loss(model, BATCH, drawn), theirs, rtol=1e-5)


def test_kept_moments_give_the_same_loss(stable: Preset) -> None:
    model = opened(stable)
    with torch.no_grad():
        kept = Batch(model.parts.codec.moments(BATCH.images), BATCH.prompts, BATCH.weights, encoded=True)
        losses = [denoising_loss(model, each, Noising.draw(model, each, draws())) for each in (BATCH, kept)]
    assert torch.equal(*losses)


def test_a_lora_step_equals_the_dreambooth_lora_script(stable: Preset) -> None:
    model = opened(stable)
    model.parts = model.parts.prepare_training(stable)
    begin = {name: p.detach().clone() for name, p in model.parts.denoiser.named_parameters() if p.requires_grad}
    train(model, lambda step: BATCH, TrainingPlan(steps=1, learning_rate=1e-2, ema=0.0, seed=0, warmup=0))
    pipeline = peer(StableDiffusionPipeline, stable.weights)
    targets = ["to_k", "to_q", "to_v", "to_out.0"]
    pipeline.unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights="gaussian", target_modules=targets))
    theirs = {name: p for name, p in pipeline.unet.named_parameters() if p.requires_grad}
    assert theirs.keys() == begin.keys()
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(begin[name])
    optimizer = torch.optim.AdamW(theirs.values(), lr=1e-2, weight_decay=1e-2)
    drawn = Noising.draw(opened(stable), BATCH, draws())
    their_loss(pipeline, BATCH.images, drawn, draws()).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(theirs.values(), 1.0)
    optimizer.step()
    ours = dict(model.parts.denoiser.named_parameters())
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)
    assert any(not torch.equal(ours[name], begin[name]) for name in theirs)


def trained(settings: Preset, folder: Path) -> NormalModel:
    model = opened(settings)
    model.parts = model.parts.prepare_training(settings)
    train(model, lambda step: BATCH, TrainingPlan(steps=3, learning_rate=1e-2, ema=0.0, seed=0, warmup=0))
    return model.save(folder)


def test_a_saved_lora_loads_in_diffusers(stable: Preset, tmp_path: Path) -> None:
    ours = trained(stable, tmp_path / "lora").sample([0, 1], prompts=PROMPTS, seed=0)
    pipeline = peer(StableDiffusionPipeline, stable.weights)
    plain = their_samples(pipeline, stable)
    pipeline.load_lora_weights(tmp_path / "lora")
    assert torch.allclose(their_samples(pipeline, stable), ours, atol=1e-3)
    assert not torch.allclose(plain, ours, atol=1e-2)
    assert torch.equal(NormalModel.load(tmp_path / "lora").sample([0, 1], prompts=PROMPTS, seed=0), ours)


def test_a_saved_full_model_loads_in_diffusers(stable: Preset, tmp_path: Path) -> None:
    settings = change(stable, train={"method": "full"})
    ours = trained(settings, tmp_path / "full").sample([0, 1], prompts=PROMPTS, seed=0)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "full", use_safetensors=True)
    assert torch.allclose(their_samples(pipeline_with_ddim(pipeline), settings), ours, atol=1e-3)
    again = NormalModel.load(tmp_path / "full")
    assert torch.equal(again.sample([0, 1], prompts=PROMPTS, seed=0), ours)
    assert not torch.allclose(opened(stable).sample([0, 1], prompts=PROMPTS, seed=0), ours, atol=1e-2)


def pipeline_with_ddim(pipeline: Any) -> Any:
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_text_encoder_of_a_saved_model_keeps_its_published_names(stable: Preset, tmp_path: Path) -> None:
    trained(change(stable, train={"method": "full"}), tmp_path / "full")
    published = Path(stable.weights) / "text_encoder" / "model.safetensors"
    assert (tmp_path / "full" / "text_encoder" / "model.safetensors").read_bytes() == published.read_bytes()


def test_a_model_saved_over_itself_stays_whole(stable: Preset, tmp_path: Path) -> None:
    saved = trained(change(stable, train={"method": "full"}), tmp_path / "full")
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    NormalModel.load(tmp_path / "full").save(tmp_path / "full")
    again = NormalModel.load(tmp_path / "full")
    assert again.digest == saved.digest
    assert torch.equal(draw(again), draw(saved))
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == files


def draw(model: NormalModel) -> torch.Tensor:
    return model.sample([0], prompts=PROMPTS[:1], seed=0)


def test_a_save_that_fails_keeps_the_files_that_were_there(
    stable: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = change(stable, train={"method": "full"})
    trained(settings, tmp_path / "full")
    base = write_stable(tmp_path / "other", prediction="v_prediction")

    def full_disk(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("os.link", full_disk)
    monkeypatch.setattr("shutil.copyfile", full_disk)
    with pytest.raises(OSError, match="no space left"):
        opened(change(settings, weights=str(base))).save(tmp_path / "full")
    monkeypatch.undo()
    assert NormalModel.load(tmp_path / "full").preset == settings
    assert not [*(tmp_path / "full").rglob(f".*{PARTIAL}")]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_compiled_model_draws_the_same(stable: Preset) -> None:
    plain, compiled = (opened(change(stable, sample={"compile": each, "steps": 4})) for each in (False, True))
    images = [model.sample([0], prompts=PROMPTS[:1], seed=0) for model in (plain, compiled)]
    assert torch.allclose(images[0], images[1], atol=1e-4)


def test_a_preview_does_not_leave_its_compiled_network_behind(
    stable: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[torch.nn.Module] = []

    def compile_(network: torch.nn.Module) -> torch.nn.Module:
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", compile_)
    model = opened(change(stable, sample={"compile": True, "steps": 2}))
    model.parts = model.parts.prepare_training(stable)
    model.sample([0], prompts=PROMPTS[:1], seed=0)
    saved = model.save(tmp_path / "m")
    saved.sample([0], prompts=PROMPTS[:1], seed=0)
    assert compiled[-1] is saved.parts.denoiser
