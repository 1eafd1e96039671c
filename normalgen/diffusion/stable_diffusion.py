"""The parts of Stable Diffusion 1.x and 2.x, from a folder in diffusers' layout or the Hugging Face hub.

It reads only safetensors, because pickled weights can run code.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from huggingface_hub import snapshot_download
from peft import get_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

from normalgen.diffusion import INDEX, STABLE_FILES
from normalgen.diffusion.codec import LatentCodec
from normalgen.diffusion.lora import add_lora, merge_lora
from normalgen.diffusion.parts import Parts, digest, write_halves
from normalgen.diffusion.schedule import NoiseSchedule, Prediction, Spacing
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.features.weights import refuse_not_finite
from normalgen.io.atomic import PARTIAL, write_whole
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import fill

__all__ = ["ClipPrompts", "StableParts", "open_stable"]

LORA = "pytorch_lora_weights.safetensors"
FOLDERS = ("unet", "vae", "text_encoder")
WANTED = [INDEX, "tokenizer/*", "scheduler/*", *(f"{name}/*.json" for name in FOLDERS)]
WANTED += ["text_encoder/model.safetensors", *(f"{name}/diffusion_pytorch_model.safetensors" for name in FOLDERS[:2])]
PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
BUFFER = 77


class ClipPrompts(nn.Module):
    """CLIP's text encoder: turns sentences into (N, 77, D) vectors. It is never trained, so it caches each sentence."""

    def __init__(self, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.known: dict[str, Tensor] = {}

    def forward(self, prompts: list[str], noun: str) -> Tensor:
        """Return the vectors (N, 77, D) of prompts with `{object}`.

        Raises:
            PresetError: a sentence has more than 77 tokens; its end would be cut off.
        """
        sentences = [fill(prompt, noun) for prompt in prompts]
        device = self.text_encoder.device
        for sentence in dict.fromkeys(sentences):
            if sentence not in self.known or self.known[sentence].device != device:
                self.known[sentence] = self._encode(sentence).to(device)
        return torch.stack([self.known[sentence] for sentence in sentences])

    @torch.no_grad()
    def _encode(self, sentence: str) -> Tensor:
        tokens = self.tokenizer(sentence, padding="max_length", max_length=BUFFER, return_tensors="pt").input_ids
        if tokens.shape[1] > BUFFER:
            raise PresetError(f"a prompt may have {BUFFER} tokens, got {tokens.shape[1]}; shorten {sentence!r}")
        vectors: Tensor = self.text_encoder(tokens.to(self.text_encoder.device))[0][0]
        return vectors.float()


@dataclass(frozen=True, kw_only=True)
class StableParts(Parts):
    """Stable Diffusion's autoencoder, UNet and text encoder; `pipeline` and `folder` are diffusers' view of them.

    `taught` is set once the text encoder differs from the one in `folder`.
    """

    codec: LatentCodec
    denoiser: UNet2DConditionModel
    prompt_encoder: ClipPrompts
    pipeline: StableDiffusionPipeline
    folder: Path
    taught: bool = False

    def to(self, device: str) -> "StableParts":
        """Move the parts to `device`, in place, and return them."""
        self.codec.vae.to(device)
        super().to(device)
        return self

    def prepare_training(self, preset: Preset) -> "StableParts":
        """Return parts in which the UNet, or adapters of its attention, require gradients."""
        for module in (self.codec.vae, self.prompt_encoder):
            module.requires_grad_(False)
        self.denoiser.requires_grad_(preset.train.method == "full")
        if preset.train.checkpointing:
            self.denoiser.enable_gradient_checkpointing()
        if preset.train.method == "full":
            return self
        add_lora(self.denoiser, preset.train.rank)
        return replace(self, adapted=True)

    def begin_from(self, references: Tensor) -> None:
        """Do nothing: the words of the noun describe the object."""

    def save(self, folder: Path) -> "StableParts":
        """Write for diffusers: a LoRA for `load_lora_weights`, or a full pipeline for `from_pretrained`; return parts.

        Untrained parts become links to their original files if the disk allows, else copies.
        """
        if self.adapted:
            adapters = convert_state_dict_to_diffusers(get_peft_model_state_dict(self.denoiser))
            write_halves(folder / LORA, {f"unet.{name}": value for name, value in adapters.items()})
            return open_stable(str(self.folder)).merge(folder)
        for pattern in STABLE_FILES:
            if not pattern.startswith("unet/"):
                _share(self.folder, folder, pattern)
        if self.taught:
            write_halves(_weight_file(folder, "text_encoder", None), self.pipeline.text_encoder.state_dict())
        write_halves(_weight_file(folder, "unet", None), self.denoiser.state_dict())
        write_whole(folder / "unet" / "config.json", self.denoiser.to_json_file)
        write_whole(folder / INDEX, self.pipeline.to_json_file)
        return replace(open_stable(str(folder)), distilled=self.distilled)

    def merge(self, lora: Path) -> "StableParts":
        """Merge a LoRA, file or folder, named as in diffusers, peft or kohya, into UNet and text encoder."""
        file = _lora_file(lora)
        changed = _merge(self.pipeline, file)
        taught = self.taught or "text_encoder" in changed
        return replace(self, digest=digest([file], self.digest), taught=taught)


def open_stable(weights: str) -> StableParts:
    """Open Stable Diffusion from a folder in diffusers' layout, or from the hub (kept in its cache).

    Raises:
        MissingWeights: it does not exist, lacks a part, or has only pickled weights.
        DataError: its scheduler is of an unknown kind.
    """
    folder = Path(weights) if Path(weights).is_dir() else _download(weights)
    variants = {name: _variant(folder, name) for name in FOLDERS}

    def load(kind: Any, name: str) -> Any:
        options = {"variant": variants[name], "use_safetensors": True} if name in variants else {}
        try:
            with _without_bars():
                return kind.from_pretrained(folder, subfolder=name, local_files_only=True, **options)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise MissingWeights(f"{folder / name} is missing or damaged ({_first_line(error)})") from error

    unet, vae = load(UNet2DConditionModel, "unet"), load(AutoencoderKL, "vae")
    encoder, tokenizer = load(CLIPTextModel, "text_encoder"), load(CLIPTokenizer, "tokenizer")
    _check_tokenizer(tokenizer, encoder.config.vocab_size, folder / "tokenizer")
    scheduler = load(DDIMScheduler, "scheduler")
    pipeline = StableDiffusionPipeline(
        vae, encoder, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )
    for name, module in zip(FOLDERS, (unet, vae, encoder), strict=True):
        module.float().eval()
        refuse_not_finite(module.state_dict(), folder / name, "download it again")
    return StableParts(
        codec=LatentCodec(vae),
        denoiser=unet,
        prompt_encoder=ClipPrompts(tokenizer, encoder),
        schedule=_schedule(scheduler, folder),
        digest=digest(_weight_file(folder, name, variants[name]) for name in FOLDERS),
        pipeline=pipeline,
        folder=folder,
    )


def _check_tokenizer(tokenizer: CLIPTokenizer, size: int, folder: Path) -> None:
    """Check that the tokenizer has the text encoder's tokens: without its files, transformers makes one of two."""
    if len(tokenizer) != size:
        raise MissingWeights(
            f"{folder} is missing or damaged: it has {len(tokenizer)} tokens, the text encoder {size}; it needs "
            "vocab.json and merges.txt, or tokenizer.json"
        )


def _lora_file(path: Path) -> Path:
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    names = [file.name for file in files]
    if LORA in names:
        return files[names.index(LORA)]
    if len(files) != 1 or files[0].suffix != ".safetensors":
        raise MissingWeights(f"{path} must be a LoRA in safetensors, or a folder with one ({LORA}); got {names}")
    return files[0]


def _merge(pipeline: StableDiffusionPipeline, file: Path) -> set[str]:
    try:
        return merge_lora({"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}, file)
    except MissingWeights:
        raise
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, SafetensorError) as error:
        raise MissingWeights(f"{file} is not a LoRA of this model ({_first_line(error)})") from error


def _download(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except Exception as error:  # the hub's errors share no base but Exception
        raise MissingWeights(
            f"the weights {name!r} are not on this machine and cannot be downloaded from the Hugging Face hub "
            f"({_first_line(error)}). With a connection: hf download {name}; else give a folder in diffusers' layout "
            "with --weights FOLDER"
        ) from error


def _variant(folder: Path, name: str) -> str | None:
    """Return the variant of a part's safetensors: None if there are plain ones, else "fp16"."""
    for variant in (None, "fp16"):
        if _weight_file(folder, name, variant).is_file():
            return variant
    pickled = sorted(path.name for path in (folder / name).glob("*.bin"))
    content = f"only pickled weights ({pickled[0]}), which can run code" if pickled else "no weights"
    raise MissingWeights(
        f"{folder / name} holds {content}; {_weight_file(folder, name, None).name} is needed. "
        "Load the model once in diffusers and call pipe.save_pretrained(FOLDER, safe_serialization=True)"
    )


def _weight_file(folder: Path, name: str, variant: str | None) -> Path:
    stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
    return folder / name / f"{stem}{f'.{variant}' if variant else ''}.safetensors"


def _schedule(scheduler: DDIMScheduler, folder: Path) -> NoiseSchedule:
    """Return the published scheduler's noise levels and steps, as DDIM uses them."""
    config = scheduler.config
    for name, known in (("prediction_type", tuple(PREDICTIONS)), ("timestep_spacing", get_args(Spacing))):
        if config[name] not in known:
            raise DataError(f"{folder / 'scheduler'}: {name} must be one of {', '.join(known)}, got {config[name]!r}")
    return NoiseSchedule(
        scheduler.alphas_cumprod.double(),
        PREDICTIONS[config.prediction_type],
        spacing=config.timestep_spacing,
        offset=config.steps_offset,
        end=float(scheduler.final_alpha_cumprod),
    )


def _share(source: Path, target: Path, pattern: str) -> None:
    """Link or copy matching files of a folder into another; an old file stays until its replacement is complete."""
    for file in source.glob(pattern):
        copy = target / file.relative_to(source)
        if copy.exists() and copy.samefile(file):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.{os.getpid()}{PARTIAL}")
        partial.unlink(missing_ok=True)
        try:
            try:
                os.link(file.resolve(), partial)
            except OSError:
                shutil.copyfile(file, partial)
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hide transformers' progress bars."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
