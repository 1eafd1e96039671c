"""A Stable Diffusion of a few thousand random weights, in the file layout of the published one."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.6.0",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
START, END = "<|startoftext|>", "<|endoftext|>"


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2))


def write_tokenizer(folder: Path) -> int:
    """CLIP's kind of tokenizer: letters, letters that end a word, a few merges. Returns the number of tokens."""
    letters = [chr(code) for code in range(33, 127)]
    merges = ["p h", "ph o", "pho t", "phot o</w>", "n o", "no r", "nor m", "norm a", "norma l</w>", "o f</w>"]
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(pair.replace(" ", "") for pair in merges),
        START,
        END,
    ]
    write_json(folder / "vocab.json", {word: i for i, word in enumerate(words)})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    write_json(folder / "special_tokens_map.json", special)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    write_json(folder / "tokenizer_config.json", settings | special | {"add_prefix_space": False})
    return len(words)


def write_stable(folder: Path, *, prediction: str = "epsilon", suffix: str = "") -> Path:
    """A pipeline folder; `suffix` ".fp16" writes the half-precision variant alone."""
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER | {"prediction_type": prediction})
    tokens = write_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            cross_attention_dim=24,
            attention_head_dim=8,
            norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            scaling_factor=0.18215,
        )
        config = CLIPTextConfig(
            vocab_size=tokens,
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            bos_token_id=tokens - 2,
            eos_token_id=tokens - 1,
            pad_token_id=tokens - 1,
        )
        encoder = CLIPTextModel(config)
    half = torch.float16 if suffix else torch.float32
    for name, module in (("unet", unet), ("vae", vae)):
        module.save_config(folder / name)
        state = {key: value.to(half).contiguous() for key, value in module.state_dict().items()}
        save_file(state, folder / name / f"diffusion_pytorch_model{suffix}.safetensors", metadata={"format": "pt"})
    write_json(folder / "text_encoder" / "config.json", config.to_dict() | {"architectures": ["CLIPTextModel"]})
    state = {published(key): value.to(half).contiguous() for key, value in encoder.state_dict().items()}
    save_file(state, folder / "text_encoder" / f"model{suffix}.safetensors", metadata={"format": "pt"})
    return folder


def published(key: str) -> str:
    """The name that a weight of the text encoder has in published files, whatever the library calls it today."""
    return key if key.startswith("text_model.") else f"text_model.{key}"
