"""The training loop: denoising loss with a weight per image; resumes exactly.

Step `s` draws only from `(seed, s)`, and a checkpoint holds weights, optimizer, average and step. So a resumed training
ends with the same weights as an uninterrupted one.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from normalgen.diffusion.losses import FeatureError
from normalgen.diffusion.model import NormalModel
from normalgen.io.atomic import write_whole
from normalgen.io.checkpoint import read_checkpoint, write_checkpoint
from normalgen.io.rng import generator, noise_like

__all__ = ["Batch", "Noising", "TrainingPlan", "denoising_loss", "train"]


@dataclass(frozen=True)
class Batch:
    """The images of one training step.

    Attributes:
        images: (N, 3, S, S) in [0, 1]; if `encoded`, their `Codec.moments`, computed once.
        prompts: one per image, with the placeholder `{object}`.
        weights: (N,), weight of each image in the loss.
        kinds: (N, K), the kind of each image, as statistics of other images like it; None leaves the object unknown.
        encoded: whether `images` are moments.
    """

    images: Tensor
    prompts: list[str]
    weights: Tensor
    kinds: Tensor | None = None
    encoded: bool = False


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of a training.

    Attributes:
        steps: optimizer steps.
        learning_rate: learning rate of AdamW (betas 0.9, 0.999; weight decay 0.01), after `warmup` steps.
        decay: "constant", or "cosine" down to a hundredth.
        ema: decay of the moving average of the weights, which the model holds at the end; 0 keeps no average.
        clip: bound of the gradient's norm.
        checkpoint_every: fewest steps between checkpoints; writing them takes at most a twentieth of the time.
        seed: with the step number, decides noise and noise levels.
        focus: noise levels are drawn as u^focus, u uniform; above 1, more training at low noise, where twins are made.
        feature_weight: weight of the feature difference between clean image and guess; 0 leaves it out.
    """

    steps: int
    learning_rate: float
    ema: float
    seed: int
    warmup: int = 5
    decay: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    checkpoint_every: int = 20
    focus: float = 1.0
    feature_weight: float = 0.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        cooled = 1.0 if self.decay == "constant" else 0.01 + 0.99 * (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * warm * cooled


@dataclass(frozen=True)
class Noising:
    """The random draws for a batch.

    Attributes:
        clean: latents (N, C, h, w) of its images.
        noise: same shape as the latents.
        t: steps (N,).
        offsets: shifts of the grid.
    """

    clean: Tensor
    noise: Tensor
    t: Tensor
    offsets: list[tuple[int, int]]

    @classmethod
    def draw(cls, model: NormalModel, batch: Batch, draws: list[torch.Generator], focus: float = 1.0) -> "Noising":
        """Draw step, shift, latents and noise of image `i` from `draws[i]`."""
        codec = model.parts.codec
        levels = torch.cat([torch.rand((1,), generator=draw) for draw in draws]) ** focus
        t = (levels * len(model.parts.schedule)).long().to(model.device)
        offsets = codec.draw_offsets(draws)
        images = batch.images.to(model.device)
        with torch.no_grad(), model.autocast():
            clean = codec.latents(images if batch.encoded else codec.moments(images), draws)
        return cls(clean, noise_like(clean, draws), t, offsets)


def denoising_loss(
    model: NormalModel, batch: Batch, drawn: Noising, feature_error: FeatureError | None = None
) -> Tensor:
    """Return the weighted sum over the batch of the mean squared error of the denoiser's output.

    The weight of an image is `batch.weights` times the schedule's weight of its noise level; `feature_error` gets
    `batch.weights` times the root of the schedule's weight.

    With weights 1 / n for n instance images and prior_weight / m for m class images, this is DreamBooth's loss with
    prior preservation (Ruiz et al. 2023, Eq. 2).
    """
    schedule = model.parts.schedule
    noisy = schedule.add_noise(drawn.clean, drawn.noise, drawn.t)
    output = model.predict(noisy, drawn.t, model.encode_prompts(batch.prompts, batch.kinds), drawn.offsets)
    weight = schedule.weight(drawn.t).to(output)
    errors = weight * (output - schedule.target(drawn.clean, drawn.noise, drawn.t)).square().flatten(1).mean(1)
    if feature_error is not None:
        guess, _ = schedule.split(output, noisy, drawn.t)
        feature_errors = feature_error(model.parts.codec.decode(guess), batch.images.to(model.device))
        errors = errors + weight.sqrt() * feature_errors
    return (errors * batch.weights.to(errors)).sum()


def train(
    model: NormalModel,
    batch_at: Callable[[int], Batch],
    plan: TrainingPlan,
    *,
    checkpoint: Path | None = None,
    begin: Callable[[int], None] = lambda step: None,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train the parameters that require gradients; at the end they hold their moving average.

    Args:
        model: changed in place.
        batch_at: returns the batch of a step; depends only on the step number.
        plan: see `TrainingPlan`.
        checkpoint: file written every `checkpoint_every` steps; training resumes from it if it has the same plan.
        begin: called once with the first step, above 0 if training resumes.
        after_step: called with the number of steps done and the loss.
    """
    state = _State(model, plan)
    if checkpoint is not None and checkpoint.is_file():
        state.load(checkpoint)
    begin(state.step)
    due = 0.0
    for step in range(state.step, plan.steps):
        loss = state.advance(batch_at(step))
        is_due = state.step % plan.checkpoint_every == 0 and time.monotonic() >= due
        if checkpoint is not None and (is_due or state.step == plan.steps):
            begun = time.monotonic()
            write_whole(checkpoint, state.save)
            due = time.monotonic() + 20 * (time.monotonic() - begun)
        after_step(state.step, loss)
    state.settle()


class _State:
    """Everything that changes during training."""

    def __init__(self, model: NormalModel, plan: TrainingPlan) -> None:
        self.model = model
        self.plan = plan
        self.step = 0
        self.parameters = model.parts.trainable()
        self.feature_error = FeatureError(plan.feature_weight, model.device) if plan.feature_weight else None
        kept = self.parameters.items() if plan.ema else ()
        self.average = {name: parameter.detach().clone() for name, parameter in kept}
        parameters = list(self.parameters.values())
        self.optimizer = torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=0.01, fused=True)

    def advance(self, batch: Batch) -> float:
        """Make one optimizer step and return its loss."""
        draws = [generator("train", self.plan.seed, self.step, row) for row in range(len(batch.images))]
        drawn = Noising.draw(self.model, batch, draws, self.plan.focus)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss = denoising_loss(self.model, batch, drawn, self.feature_error)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters.values(), self.plan.clip)
        self.optimizer.step()
        self._follow()
        self.step += 1
        return loss.item()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        weights = [self.parameters[name].detach() for name in self.average]
        if weights:
            torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    @torch.no_grad()
    def settle(self) -> None:
        """Copy the average, if there is one, into the model."""
        for name, average in self.average.items():
            self.parameters[name].copy_(average)

    def save(self, path: Path) -> None:
        write_checkpoint(
            path,
            {
                "plan": asdict(self.plan),
                "step": self.step,
                "parameters": {name: parameter.detach() for name, parameter in self.parameters.items()},
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
            },
        )

    @torch.no_grad()
    def load(self, path: Path) -> None:
        state = read_checkpoint(path, self.model.device)
        if state is None or state["plan"] != asdict(self.plan):
            return
        self.step = state["step"]
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
        for name, average in self.average.items():
            average.copy_(state["average"][name])
        self.optimizer.load_state_dict(state["optimizer"])
