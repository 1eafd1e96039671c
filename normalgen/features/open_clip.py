"""CLIP (Radford et al. 2021) from open_clip: patch tokens of several blocks, image vectors, and the text encoder."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.contract import TextSide
from normalgen.features.finite import finite
from normalgen.features.weights import (
    fingerprint,
    first_line,
    normalised,
    quarters,
    quietly,
    resized,
    weight_file,
)

__all__ = ["DEFAULT", "MEAN", "STD", "ClipFeatures", "ClipText"]

DEFAULT = "ViT-L-14-336-quickgelu"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
SENTENCES = 64


class ClipText:
    """CLIP's text encoder.

    Attributes:
        width: length of its vectors.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, width: int, device: str) -> None:
        self.model: Any = model
        self.tokenizer = tokenizer
        self.width = width
        self.device = device

    @torch.inference_mode()
    def encode(self, sentences: list[str]) -> Tensor:
        """Return one vector per sentence (n, width), of unit length.

        Raises:
            PresetError: a sentence is too long for the encoder, which would cut off its end.
        """
        longest = self.tokenizer.context_length
        for sentence in sentences:
            if len(self.tokenizer.encode(sentence)) + 2 > longest:
                raise PresetError(f"a sentence may have {longest} tokens with its start and end; shorten {sentence!r}")
        parts = [sentences[start : start + SENTENCES] for start in range(0, len(sentences), SENTENCES)]
        vectors = [self.model.encode_text(self.tokenizer(part).to(self.device), normalize=True) for part in parts]
        return torch.cat(vectors).float()


class ClipFeatures:
    """Frozen features of one of open_clip's vision transformers.

    If `size` is not the model's own, positions are resized bicubically (antialiased). Patches that do not fit are
    dropped: 240 px in patches of 14 give 17 x 17, without the last two rows and columns of pixels, as in MVFA's code.

    Args:
        name: open_clip's, such as "ViT-B-16-plus-240".
        weights: one of open_clip's tags for it, or a file: safetensors, or a .pt that holds only weights. A file does
            not record whether it was trained with QuickGELU, or with other colours than `MEAN` and `STD`. OpenAI's
            weights need a name that ends in -quickgelu.
        size: width and height in pixels to which images are squashed.
        blocks: their outputs are the levels; counted from 1. Default: the last of each quarter, 6, 12, 18 and 24 in
            ViT-L.
        device: torch device.

    Attributes:
        name: "clip:", the model, "@", and eight digits of its weights; then "/" and the blocks if not the default.
        grid: rows and columns of each level.
        shares: equal.

    Raises:
        PresetError: the model, tag, size or block does not exist, or the tag's weights need QuickGELU.
        MissingWeights: the weights are not on this machine and cannot be downloaded, or are another model's.
        MissingDependency: open_clip is not installed.
    """

    def __init__(
        self,
        name: str = DEFAULT,
        *,
        weights: str = "openai",
        size: int = 240,
        blocks: tuple[int, ...] | None = None,
        device: str = "cpu",
    ) -> None:
        config = _config(name)
        self.size = size
        self.device = device
        self.blocks = _blocks(name, config, blocks)
        patch = config["vision_cfg"]["patch_size"]
        if size < patch:
            raise PresetError(f"size must be at least {name}'s patch of {patch} pixels, got {size}")
        entry = _entry(name, config, weights)
        self.mean, self.std = tuple(entry.get("mean", MEAN)), tuple(entry.get("std", STD))
        model, tokenizer = _load(name, _file(name, weights, entry), size)
        suffix = "" if self.blocks == quarters(config["vision_cfg"]["layers"]) else f"/{self.blocks}".replace(" ", "")
        self.name = f"clip:{name}@{fingerprint(model)}{suffix}"
        self.model: Any = model.to(device)
        self.grid = (size // patch, size // patch)
        self.shares = (1 / len(self.blocks),) * len(self.blocks)
        self.text: TextSide | None = ClipText(self.model, tokenizer, config["embed_dim"], device)

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return each block's raw output (N, rows, columns, C), before the last norm and the projection.

        The class token is left out. Images (N, 3, S, S) in [0, 1], S any size.
        """
        outputs = self.model.visual.forward_intermediates(
            self.prepared(images),
            indices=[block - 1 for block in self.blocks],
            stop_early=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
        blocks = outputs["image_intermediates"]
        return finite([level.reshape(len(images), *self.grid, -1).contiguous() for level in blocks], self.name)

    @torch.inference_mode()
    def image(self, images: Tensor) -> Tensor:
        """Return the projected class token (N, D), of unit length, to compare with sentences."""
        vectors: Tensor = self.model.encode_image(self.prepared(images), normalize=True)
        return vectors

    def prepared(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] at the network's size, with the colours that it was trained with."""
        return normalised(resized(images.to(self.device), self.size), self.mean, self.std)


def _package() -> Any:
    try:
        with quietly():
            import open_clip  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency("open_clip is not installed; pip install open_clip_torch") from error
    return open_clip


def _config(name: str) -> dict[str, Any]:
    from difflib import get_close_matches

    open_clip = _package()
    known = open_clip.list_models()
    if name not in known:
        near = get_close_matches(name, known, 3, 0.4)
        raise PresetError(f"open_clip has no model {name!r}; similar names: {', '.join(near) or 'none'}")
    config: dict[str, Any] = open_clip.get_model_config(name)
    if not isinstance(config["vision_cfg"].get("layers"), int):
        raise PresetError(f"{name} is not an open_clip vision transformer; use one, such as {DEFAULT}")
    return config


def _blocks(name: str, config: dict[str, Any], blocks: tuple[int, ...] | None) -> tuple[int, ...]:
    depth = config["vision_cfg"]["layers"]
    chosen = quarters(depth) if blocks is None else tuple(sorted(set(blocks)))
    if not chosen or chosen[0] < 1 or chosen[-1] > depth:
        raise PresetError(f"blocks must be from 1 to {depth} in {name}, got {blocks}")
    return chosen


def _entry(name: str, config: dict[str, Any], weights: str) -> dict[str, Any]:
    """Return open_clip's entry for a tag; empty for a file.

    Raises:
        PresetError: the weights need QuickGELU and the name lacks it, or the tag's entry leads to another epoch.
    """
    entry: dict[str, Any] = _package().get_pretrained_cfg(name, weights)
    if not entry:
        return {}
    if entry.get("quick_gelu", False) and not config.get("quick_gelu", False):
        raise PresetError(
            f"the weights {weights!r} were trained with QuickGELU, which {name} does not use; use {name}-quickgelu"
        )
    asked, hub = re.search(r"_e(\d+)$", weights), re.search(r"_e(\d+)/?$", entry.get("hf_hub", ""))
    if asked and hub and asked[1] != hub[1]:
        raise PresetError(
            f"open_clip's hub entry for {weights!r} of {name} holds the weights of epoch {hub[1]}; use "
            f"{weights.removesuffix(asked[0]) + hub[0].strip('/')!r}, or download {entry.get('url')} and give the file"
        )
    return entry


def _file(name: str, weights: str, entry: dict[str, Any]) -> str:
    open_clip = _package()
    if not entry:
        tags = open_clip.list_pretrained_tags_by_model(name)
        if Path(weights).suffix or len(Path(weights).parts) > 1:
            return str(weight_file(weights))
        raise PresetError(
            f"weights must be a file or one of {', '.join(tags) or '(no tags)'} for {name}, got {weights!r}"
        )
    try:
        with quietly():
            return str(open_clip.download_pretrained(entry))
    except Exception as error:  # the hub's errors share no base but Exception
        raise MissingWeights(
            f"the weights {weights!r} of {name} are not on this machine and cannot be downloaded "
            f"({first_line(error)}). With a connection: hf download {entry.get('hf_hub', '').strip('/')}; else give a "
            f"file: clip:{name}:FILE"
        ) from error


def _load(name: str, file: str, size: int) -> tuple[nn.Module, Any]:
    open_clip = _package()
    try:
        with quietly():
            model: nn.Module = open_clip.create_model(name, pretrained=file, weights_only=True)
            tokenizer = open_clip.get_tokenizer(name)
            _resize(model, size)
    except Exception as error:  # pickle raises many kinds of error for damaged files
        raise MissingWeights(
            f"{file} does not hold only weights of {name} ({first_line(error)}); give safetensors, or a "
            "state_dict that torch.load reads with weights_only=True"
        ) from error
    return model.float().eval().requires_grad_(False), tokenizer


def _resize(model: Any, size: int) -> None:
    """Set the image size, and resize the positions as open_clip resizes a file's.

    Done after loading instead of with `force_image_size`: torch cannot resize half-precision positions on the CPU.
    """
    visual = model.visual
    visual.image_size, visual.grid_size = (size, size), tuple(size // side for side in visual.patch_size)
    state = {"visual.positional_embedding": visual.positional_embedding.detach()}
    _package().model.resize_pos_embed(state, model)
    visual.positional_embedding = nn.Parameter(state["visual.positional_embedding"])
