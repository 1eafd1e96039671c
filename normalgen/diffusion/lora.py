"""Low-rank adapters (Hu et al. 2022) on the denoiser's attention, by peft."""

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

__all__ = ["add_lora"]

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def add_lora(denoiser: nn.Module, rank: int) -> None:
    """Freeze `denoiser` and add trainable adapters of `rank` (alpha = rank) to its attention, in place.

    They start as diffusers' DreamBooth example starts them: one half drawn (standard deviation 1 / rank), one half 0.
    """
    denoiser.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inject_adapter_in_model(config, denoiser)
    for parameter in denoiser.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
