"""A Stable Diffusion 1.5 of full size and random weights, its arithmetic counted, and diffusers' way to train it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from normalgen.diffusion.codec import LatentCodec
from normalgen.diffusion.schedule import NoiseSchedule
from normalgen.diffusion.stable_diffusion import ClipPrompts, StableParts

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


@dataclass(frozen=True)
class Size:
    """Widths of the three networks."""

    unet: tuple[int, ...]
    layers: int
    vae: tuple[int, ...]
    text: int
    text_layers: int


FULL = Size((320, 640, 1280, 1280), 2, (128, 256, 512, 512), 768, 12)
# Small enough for two cores; the autoencoder takes about as large a share of the arithmetic as in the full one.
SMALL = Size((64, 128, 256, 256), 2, (32, 64, 64, 64), 192, 4)


def unet(size: Size) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64, block_out_channels=size.unet, layers_per_block=size.layers, cross_attention_dim=size.text
    )


def vae(size: Size) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=size.vae,
        layers_per_block=2,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=0.18215,
    )


def text_encoder(size: Size, tokens: int = 49408) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=size.text,
        intermediate_size=4 * size.text,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text // 64,
        bos_token_id=tokens - 2,
        eos_token_id=tokens - 1,
        pad_token_id=tokens - 1,
    )
    return CLIPTextModel(config)


def parts(size: Size, tokenizer_folder: Path, tokens: int) -> StableParts:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = unet(size), vae(size), text_encoder(size, tokens)
    for network in networks:
        network.train(False)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    scheduler = DDIMScheduler(**SCHEDULE, steps_offset=1, set_alpha_to_one=False)
    pipeline = StableDiffusionPipeline(
        networks[1], networks[2], tokenizer, networks[0], scheduler, None, None, requires_safety_checker=False
    )
    end = float(scheduler.final_alpha_cumprod)
    return StableParts(
        codec=LatentCodec(networks[1]),
        denoiser=networks[0],
        prompt_encoder=ClipPrompts(tokenizer, networks[2]),
        schedule=NoiseSchedule(scheduler.alphas_cumprod.double(), "epsilon", spacing="leading", offset=1, end=end),
        digest="random",
        pipeline=pipeline,
        folder=tokenizer_folder,
    )


def flops(work: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def counted(size: Size, pixels: int) -> dict[str, float]:
    """TFLOP of one image through each network, forwards; nothing is computed."""
    with torch.device("meta"), torch.no_grad():
        latents, text = torch.empty(1, 4, pixels // 8, pixels // 8), torch.empty(1, 77, size.text)
        images, ids = torch.empty(1, 3, pixels, pixels), torch.zeros(1, 77, dtype=torch.long)
        denoiser, codec, encoder = unet(size), vae(size), text_encoder(size)
        step = torch.zeros(1, dtype=torch.long)
        works: dict[str, Callable[[], Any]] = {
            "unet": lambda: denoiser(latents, step, text),
            "encode": lambda: codec.encode(images),
            "decode": lambda: codec.decode(latents),
            "text": lambda: encoder(ids),
        }
        return {name: flops(work) / 1e12 for name, work in works.items()}


def their_lora_loop(
    whole: StableParts, rank: int, half: bool, batch_size: int = 1
) -> tuple[Callable[[Tensor, list[str]], float], Any]:
    """A step of diffusers' train_dreambooth_lora.py: everything is encoded at each step; instance and class images."""
    pipeline = whole.pipeline
    device = pipeline.unet.device
    for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        module.requires_grad_(False)
        if half:
            module.to(torch.bfloat16)
    targets = ["to_k", "to_q", "to_v", "to_out.0"]
    with torch.random.fork_rng(devices=[]):
        pipeline.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
    trained = [p for p in pipeline.unet.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=1e-2)
    weights = torch.bfloat16 if half else torch.float32
    autocast = torch.autocast(device.type, torch.bfloat16) if half else nullcontext()

    def step(images: Tensor, sentences: list[str]) -> float:
        ids = pipeline.tokenizer(sentences, padding="max_length", max_length=77, return_tensors="pt").input_ids
        with autocast:
            posterior = pipeline.vae.encode((images * 2 - 1).to(device, weights)).latent_dist
            latents = posterior.sample() * pipeline.vae.config.scaling_factor
            noise = torch.randn_like(latents)
            t = torch.randint(0, 1000, (len(latents),), device=device)
            noisy = pipeline.scheduler.add_noise(latents, noise, t)
            found = pipeline.unet(noisy, t, pipeline.text_encoder(ids.to(device))[0]).sample
            pairs = zip(found.chunk(2), noise.chunk(2), strict=True)
            loss = sum(mse_loss(one.float(), other.float()) for one, other in pairs)
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())  # type: ignore[union-attr]

    return step, trained
