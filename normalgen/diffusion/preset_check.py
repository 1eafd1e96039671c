"""Checks that a preset works on this machine with its weights: one short trial per part, with seconds and memory.

normalgen is built and tested without Stable Diffusion's weights; users who have them can check them here. The photo is
scikit-image's astronaut (public domain).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.tiny.text_encoder import WordEncoder
from normalgen.diffusion.training import Batch, Noising, TrainingPlan, train
from normalgen.io.peak_memory import peak_memory
from normalgen.io.rng import generator
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import INSTANCE_PROMPT

__all__ = ["Finding", "trial"]

STRENGTH, LEAST_PSNR, MOST_ERROR = 0.3, 20.0, 0.5
# In each row, the first word is closer in meaning to the second than to the third.
TRIPLETS = (("cat", "kitten", "screw"), ("screw", "bolt", "banana"), ("car", "truck", "flower"))


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: what was checked.
        found: the result in words.
        well: whether the check passed.
        seconds: duration.
        memory: peak bytes so far, of the GPU if one is used, else of the process; None if unknown.
    """

    name: str
    found: str
    well: bool
    seconds: float
    memory: int | None


def trial(preset: Preset, *, device: str) -> Iterator[Finding]:
    """Yield the results of checking the preset's weights: autoencoder, denoiser, text encoder, twin, training step.

    Raises:
        MissingWeights: the weights do not exist.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    begun = time.monotonic()
    model = NormalModel(open_parts(preset.weights), preset, category="trial", noun="astronaut", device=device)
    count = sum(p.numel() for module in model.parts.modules().values() for p in module.parameters())
    yield Finding("weights", f"{count / 1e6:.0f} million, {model.digest[:12]}", True, *_cost(begun, device))
    photo = _photo(preset.size)
    checks: list[tuple[str, Callable[[], tuple[str, bool]]]] = [
        ("autoencoder", partial(_codec, model, photo)),
        ("denoiser", partial(_denoiser, model, photo)),
        ("text encoder", partial(_text, model)),
        (f"twin, strength {STRENGTH:g}", partial(_twin, model, photo)),
        (f"training step, {preset.train.method}", partial(_step, model, photo)),
    ]
    for name, check in checks:
        begun = time.monotonic()
        yield Finding(name, *check(), *_cost(begun, device))


def _cost(begun: float, device: str) -> tuple[float, int | None]:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        return time.monotonic() - begun, torch.cuda.max_memory_allocated(device)
    return time.monotonic() - begun, peak_memory()


def _photo(size: int) -> Tensor:
    pixels = torch.from_numpy(astronaut()).permute(2, 0, 1)[None].float() / 255
    return interpolate(pixels, (size, size), mode="bilinear", antialias=True)


@torch.inference_mode()
def _codec(model: NormalModel, photo: Tensor) -> tuple[str, bool]:
    codec = model.parts.codec
    with model.autocast():
        decoded = codec.decode(codec.encode(photo.to(model.device))).cpu()
    psnr = peak_signal_noise_ratio(photo.numpy(), decoded.clamp(1e-6, 1 - 1e-6).numpy(), data_range=1)
    return f"{psnr:.1f} dB between photo and round trip (at least {LEAST_PSNR:g})", bool(psnr >= LEAST_PSNR)


@torch.inference_mode()
def _denoiser(model: NormalModel, photo: Tensor) -> tuple[str, bool]:
    """Check that the denoiser finds most of the noise in a photo; an untrained one finds none."""
    draws = [generator("trial", 0)]
    batch = Batch(photo, [INSTANCE_PROMPT], torch.ones(1))
    drawn = Noising.draw(model, batch, draws)
    t = torch.full((1,), len(model.parts.schedule) // 2, device=model.device)
    noisy = model.parts.schedule.add_noise(drawn.clean, drawn.noise, t)
    output = model.predict(noisy, t, model.encode_prompts([INSTANCE_PROMPT]), drawn.offsets)
    _, noise = model.parts.schedule.split(output, noisy, t)
    error = float((noise - drawn.noise).square().mean())
    return f"misses {error:.0%} of the noise in a photo (at most {MOST_ERROR:.0%})", error <= MOST_ERROR


@torch.inference_mode()
def _text(model: NormalModel) -> tuple[str, bool]:
    encoder = model.parts.prompt_encoder
    if isinstance(encoder, WordEncoder):
        return "known words and one learned token: nothing to check", True
    right = 0
    for words in TRIPLETS:
        anchor, near, far = (encoder([f"a photo of a {word}"], "").flatten() for word in words)
        right += bool(cosine_similarity(anchor, near, dim=0) > cosine_similarity(anchor, far, dim=0))
    first, second, third = TRIPLETS[0]
    return f"{right} of {len(TRIPLETS)} right, such as: {first} is closer to {second} than to {third}", right == 3


def _twin(model: NormalModel, photo: Tensor) -> tuple[str, bool]:
    twin = model.restore(photo, prompts=[INSTANCE_PROMPT], strength=STRENGTH, seed=0)
    similarity = structural_similarity(photo[0].numpy(), twin[0].numpy(), channel_axis=0, data_range=1)
    return f"SSIM {similarity:.2f} with its photo", bool(torch.isfinite(twin).all())


def _step(model: NormalModel, photo: Tensor) -> tuple[str, bool]:
    settings = model.preset.train
    model.parts = model.parts.prepare_training(model.preset)
    if model.half:
        model.parts.lighten()
    model.parts.to(model.device)
    losses: list[float] = []
    piece = photo[..., : settings.piece, : settings.piece] if settings.piece else photo
    batch = Batch(
        piece.expand(settings.batch, -1, -1, -1),
        [INSTANCE_PROMPT] * settings.batch,
        torch.ones(settings.batch),
    )
    plan = TrainingPlan(1, settings.learning_rate, settings.ema, 0, feature_weight=settings.feature_weight)
    train(model, lambda step: batch, plan, after_step=lambda step, loss: losses.append(loss))
    count = sum(parameter.numel() for parameter in model.parts.trainable().values())
    return f"loss {losses[0]:.3f}, {count / 1e6:.1f} million weights trained", losses[0] == losses[0]
