"""The groups of settings, each setting declared once.

A field's `setting` holds its range or choices, its help, its option on the command line, and what it decides. The
checks, the options, `normalgen presets`, the records of models and pools, and the cache keys are derived from it.
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
    """How the model is customized."""

    method: Annotated[
        Method,
        setting(
            "Train all weights of the denoiser, its fine stage alone (enough for low strengths, in a quarter of the "
            "time), or low-rank adapters of its attention.",
            flag="--method",
            decides=MODEL,
        ),
    ]
    rank: Annotated[int, setting("Rank of the adapters of method lora.", low=1, high=1024, decides=MODEL)]
    steps: Annotated[
        int,
        setting("Steps of the customization.", low=0, high=1_000_000, flag="--training-steps", decides=MODEL),
    ]
    batch: Annotated[int, setting("Reference images in a step.", low=1, high=1024, decides=MODEL)]
    class_batch: Annotated[int, setting("Class images in a step.", low=1, high=1024, decides=MODEL)]
    learning_rate: Annotated[float, setting("Learning rate of AdamW.", low=0, high=1, decides=MODEL)]
    warmup: Annotated[int, setting("Steps until the learning rate is reached.", low=0, high=1_000_000, decides=MODEL)]
    decay: Annotated[
        Decay, setting("Keep the learning rate, or let it fall along a cosine to a hundredth.", decides=MODEL)
    ]
    checkpointing: Annotated[bool, setting("Compute activations twice instead of keeping them: less memory, slower.")]
    views: Annotated[
        int,
        setting(
            "Augmentations of each reference that training cycles through, encoded once; 0 augments at every step.",
            low=0,
            high=100_000,
            decides=MODEL,
        ),
    ]
    prior_weight: Annotated[
        float,
        setting(
            "Weight of --class-images in the loss, to keep what the model knew (DreamBooth: 1); 0 leaves them out.",
            low=0,
            high=100,
            flag="--prior-weight",
            decides=MODEL,
        ),
    ]
    class_images: Annotated[
        int,
        setting(
            "Images of such objects in general, made once and kept, for prior preservation (--prior-weight above 0).",
            low=0,
            high=100_000,
            flag="--class-images",
            decides=MODEL,
        ),
    ]
    ema: Annotated[
        float, setting("Decay of the average of the weights that is kept in the end.", low=0, high=1, decides=MODEL)
    ]
    focus: Annotated[
        float,
        setting(
            "Draw noise levels as u^focus, u uniform; above 1 the low ones, where img2img works, come more often.",
            low=0.1,
            high=10,
            decides=MODEL,
        ),
    ]
    piece: Annotated[
        int,
        setting(
            "Width of the random squares that training looks at, in pixels; 0 is the whole image.",
            low=0,
            high=2048,
            decides=MODEL,
        ),
    ]
    feature_weight: Annotated[
        float,
        setting(
            "Weight in the loss of the difference between features of the image and of the guess.",
            low=0,
            high=100,
            decides=MODEL,
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How the model makes an image out of noise."""

    steps: Annotated[
        int,
        setting(
            "Steps from pure noise to an image; strength s makes the last floor(s * steps) of them.",
            low=1,
            high=1000,
            flag="--sampling-steps",
            decides=("pool", "twins"),
        ),
    ]
    explicit_steps: Annotated[
        int,
        setting(
            "Denoising steps to run, picked evenly from those of --sampling-steps and --strength; 0 runs all.",
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
        setting("An LCM- or TCD-LoRA to sample with, file or folder.", flag="--distilled", decides=POOL),
    ]
    guidance: Annotated[
        float,
        setting(
            "Scale of classifier-free guidance; 1 is off, twice as fast.",
            low=1,
            high=50,
            flag="--guidance",
            decides=("pool", "twins"),
        ),
    ]
    precision: Annotated[
        Precision,
        setting(
            "Arithmetic of the denoiser; auto: bfloat16 on CUDA, float32 elsewhere.",
            flag="--precision",
            decides=("model", "pool"),
        ),
    ]
    compile: Annotated[
        bool,
        setting(
            "Use torch.compile on the denoiser for sampling: a minute or more of compiling, then faster.",
            flag="--compile/--no-compile",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """What a pool consists of."""

    plain: Annotated[
        float,
        setting(
            "Share of augmented references as they are, without diffusion.",
            low=0,
            high=1,
            flag="--plain",
            decides=POOL,
        ),
    ]
    mix: Annotated[
        float,
        setting(
            "Share of img2img among the others (augmented references restored); the rest is txt2img.",
            low=0,
            high=1,
            flag="--mix",
            decides=POOL,
        ),
    ]
    strength: Annotated[
        float,
        setting(
            "How far img2img leaves its reference: its share of the noise schedule, in (0, 1].",
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
        setting(
            "Images made together; part of what makes a pool's bytes.", low=1, high=1024, decides=("model", "pool")
        ),
    ]
    gate: Annotated[
        bool,
        setting(
            "Judge each image before it enters; rejected ones are in POOL.normalgen/rejected.",
            flag="--gate/--no-gate",
            decides=POOL,
        ),
    ]
    budget: Annotated[
        float,
        setting(
            "With the gate on: the most candidates to make per requested image.", low=1, high=1000, flag="--budget"
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class TwinConfig:
    """How a query's normal twin is made."""

    prompts: Annotated[
        int,
        setting(
            "Prompt set a twin is chosen from: 1, 3, 5 or 10.",
            choices=tuple(PROMPT_SETS),
            flag="--prompts",
            decides=TWINS,
        ),
    ]
    strength: Annotated[
        float,
        setting(
            "How far a twin leaves its query: its share of the noise schedule, in (0, 1].",
            above=0,
            high=1,
            flag="--strength",
            decides=TWINS,
        ),
    ]
    steps: Annotated[
        int,
        setting(
            "Denoising steps to run per twin; 0 runs all that its strength implies.",
            low=0,
            high=1000,
            flag="--steps",
            decides=TWINS,
        ),
    ]
