"""open_clip models of random weights at toy size."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch
from safetensors.torch import save_file

VISION = {"image_size": 84, "layers": 4, "width": 32, "head_width": 16, "patch_size": 14}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
CONFIG = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
CONFIGS = {"tiny-clip": CONFIG, "tiny-clip-quickgelu": {**CONFIG, "quick_gelu": True}}


@contextmanager
def tiny_clips(folder: Path) -> Iterator[None]:
    """open_clip knows the models of `CONFIGS`."""
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    for name in CONFIGS:
        del open_clip.factory._MODEL_CONFIGS[name]


def random_clip(name: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.create_model(name).eval()


def clip_file(path: Path) -> str:
    """Write the weights of a random tiny-clip, and return their file."""
    save_file({name: value.contiguous() for name, value in random_clip("tiny-clip").state_dict().items()}, path)
    return str(path)
