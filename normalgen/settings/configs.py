"""The groups of settings; each setting is declared once.

A field's `setting` holds its range or choices, help, command-line option, and the results it decides. The checks, the
options, `normalgen presets`, the records of models and pools, and the cache keys are derived from it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from normalgen.settings.prompts import PROMPT_SETS
from normalgen.settings.setting import Decided, setting

__all__ = ["Augment", "Method", "PoolConfig", "Precision", "SampleConfig", "Sampler", "TrainConfig", "TwinConfig"]

Augment = Literal["auto", "none", "safe", "flips", "rotations", "turned"]
Method = Literal["full", "fine", "lora"]
Sampler = Literal["ddim", "lcm", "tcd"]
Precision = Literal["auto", "float32", "bfloat16"]
Decay = Literal["constant", "cosine"]

MODEL: tuple[Decided, ...] = ("model",)
POOL: tuple[Decided, ...] = ("pool",)
TWINS: tuple[Decided, ...] = ("twins",)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings for customizing the model."""

    method: Annotated[
        Method,
        setting(
            "Train all weights of the denoiser (full), only its fine stage (fine: enough for low strengths, in a "
            "quarter of the time), or low-rank adapters of its attention (lora).",
            flag="--method",
            decides=MODEL,
        ),
    ]
    rank: Annotated[int, setting("Rank of the adapters for method lora.", low=1, high=1024, decides=MODEL)]
    steps: Annotated[
        int,
        setting("Training steps.", low=0, high=1_000_000, flag="--training-steps", decides=MODEL),
    ]
    batch: Annotated[int, setting("Reference images per step.", low=1, high=1024, decides=MODEL)]
    class_batch: Annotated[int, setting("Class images per step.", low=1, high=1024, decides=MODEL)]
    learning_rate: Annotated[float, setting("Learning rate of AdamW.", low=0, high=1, decides=MODEL)]
    warmup: Annotated[
        int, setting("Steps until the learning rate reaches its full value.", low=0, high=1_000_000, decides=MODEL)
    ]
    decay: Annotated[
        Decay, setting("Keep the learning rate constant, or lower it along a cosine to a hundredth.", decides=MODEL)
    ]
    checkpointing: Annotated[bool, setting("Recompute activations instead of keeping them: less memory, slower.")]
    views: Annotated[
        int,
        setting(
            "Augmented views per reference, encoded once and cycled through; 0 augments at every step.",
            low=0,
            high=100_000,
            decides=MODEL,
        ),
    ]
    prior_weight: Annotated[
        float,
        setting(
            "Weight of --class-images in the loss, to preserve what the model knew (DreamBooth: 1); 0 leaves them out.",
            low=0,
            high=100,
            flag="--prior-weight",
            decides=MODEL,
        ),
    ]
    class_images: Annotated[
        int,
        setting(
            "Images of the object class, made once and kept, for prior preservation (--prior-weight above 0).",
            low=0,
            high=100_000,
            flag="--class-images",
            decides=MODEL,
        ),
    ]
    ema: Annotated[
        float,
        setting(
            "Decay of the moving average of the weights; training keeps this average.", low=0, high=1, decides=MODEL
        ),
    ]
    focus: Annotated[
        float,
        setting(
            "Draw noise levels as u^focus, u uniform; above 1 favours low levels, which img2img uses.",
            low=0.1,
            high=10,
            decides=MODEL,
        ),
    ]
    piece: Annotated[
        int,
        setting(
            "Width of the random squares to train on, in pixels; 0 is the whole image.",
            low=0,
            high=2048,
            decides=MODEL,
        ),
    ]
    feature_weight: Annotated[
        float,
        setting(
            "Weight in the loss of the feature difference between the image and the prediction.",
            low=0,
            high=100,
            decides=MODEL,
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Settings for sampling an image from noise."""

    steps: Annotated[
        int,
        setting(
            "Steps from pure noise to an image; strength s runs the last floor(s * steps) of them.",
            low=1,
            high=1000,
            flag="--sampling-steps",
            decides=("pool", "twins"),
        ),
    ]
    explicit_steps: Annotated[
        int,
        setting(
            "Denoising steps to run, spread evenly over those that --sampling-steps and --strength give; 0 runs all.",
            low=0,
            high=1000,
            flag="--explicit-steps",
            decides=POOL,
        ),
    ]
    sampler: Annotated[
        Sampler,
        setting("ddim; lcm and tcd are for --distilled weights.", flag="--sampler", decides=("pool", "twins")),
    ]
    distilled: Annotated[
        str,
        setting("File or folder of an LCM- or TCD-LoRA to sample with.", flag="--distilled", decides=POOL),
    ]
    guidance: Annotated[
        float,
        setting(
            "Scale of classifier-free guidance; 1 turns it off and is twice as fast.",
            low=1,
            high=50,
            flag="--guidance",
            decides=("pool", "twins"),
        ),
    ]
    precision: Annotated[
        Precision,
        setting(
            "Number format of the denoiser; auto: bfloat16 on CUDA, float32 elsewhere.",
            flag="--precision",
            decides=("model", "pool"),
        ),
    ]
    compile: Annotated[
        bool,
        setting(
            "Sample with torch.compile: faster after a minute or more of compiling.",
            flag="--compile/--no-compile",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Settings for the contents of a pool."""

    plain: Annotated[
        float,
        setting(
            "Share of the pool that is augmented references, without diffusion.",
            low=0,
            high=1,
            flag="--plain",
            decides=POOL,
        ),
    ]
    mix: Annotated[
        float,
        setting(
            "Share of img2img (restored augmented references) among the other images; the rest is txt2img.",
            low=0,
            high=1,
            flag="--mix",
            decides=POOL,
        ),
    ]
    strength: Annotated[
        float,
        setting(
            "How far img2img departs from its reference: its share of the noise schedule, in (0, 1].",
            above=0,
            high=1,
            flag="--strength",
            decides=POOL,
        ),
    ]
    prompts: Annotated[
        int,
        setting(
            "Prompt set to cycle through: 1, 3, 5 or 10.", choices=tuple(PROMPT_SETS), flag="--prompts", decides=POOL
        ),
    ]
    group: Annotated[
        int,
        setting("Images made together; changes a pool's bytes.", low=1, high=1024, decides=("model", "pool")),
    ]
    gate: Annotated[
        bool,
        setting(
            "Judge each image before it enters the pool; rejected images go to POOL.normalgen/rejected.",
            flag="--gate/--no-gate",
            decides=POOL,
        ),
    ]
    gate_features: Annotated[
        str,
        setting(
            "What the gate and the screening of photos look with, as detect's --features: embedded, vit, cnn ...",
            flag="--gate-features",
            decides=POOL,
        ),
    ]
    budget: Annotated[
        float,
        setting("Most candidates per requested image when the gate is on.", low=1, high=1000, flag="--budget"),
    ]


@dataclass(frozen=True, kw_only=True)
class TwinConfig:
    """Settings for making the normal twin of a query."""

    prompts: Annotated[
        int,
        setting(
            "Prompt set from which a twin is chosen: 1, 3, 5 or 10.",
            choices=tuple(PROMPT_SETS),
            flag="--prompts",
            decides=TWINS,
        ),
    ]
    strength: Annotated[
        float,
        setting(
            "How far a twin departs from its query: its share of the noise schedule, in (0, 1].",
            above=0,
            high=1,
            flag="--strength",
            decides=TWINS,
        ),
    ]
    steps: Annotated[
        int,
        setting(
            "Denoising steps per twin; 0 runs all that its strength gives.",
            low=0,
            high=1000,
            flag="--steps",
            decides=TWINS,
        ),
    ]
