"""Low-rank adapters (Hu et al. 2022) on the denoiser's attention, by peft."""

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

__all__ = ["add_lora"]

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def add_lora(denoiser: nn.Module, rank: int) -> None:
    """Freeze `denoiser` and add trainable adapters of `rank` (alpha = rank) to its attention, in place."""
    denoiser.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS), denoiser)
