"""The options that several commands share, and what they mean."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from normalgen.errors import DataError
from normalgen.settings.presets import PRESETS

WHICH, MODEL, SAMPLING, POOL, WORKERS = "Which photos", "Model", "Sampling", "Pool", "Several workers"
TWINS = "Twins"
_WORDS = {"True": "on", "False": "off", "": "none"}


def _setting(flags: str, setting: str, text: str, panel: str) -> Any:
    """An option that is a setting, so that its default is the preset's; help says what that is in preset tiny."""
    tiny = PRESETS["tiny"]
    value = getattr(tiny, setting)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return typer.Option(flags, help=f"{text} Preset tiny: {_WORDS.get(shown, shown)}.", rich_help_panel=panel)


Folder = Annotated[Path | None, typer.Argument(help="Folder of normal photos; all are references unless -k chooses.")]
CategoryName = Annotated[
    str | None,
    typer.Option(
        "--category",
        help="Name of the category; default: the folder's. Built in: elpv-mono, elpv-poly.",
        rich_help_panel=WHICH,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="NORMALGEN_DATA", help="Root of categories: ROOT/CATEGORY/train/good.", rich_help_panel=WHICH
    ),
]
Object = Annotated[
    str | None,
    typer.Option(
        "--object", help='The noun in prompts, such as "solar cell"; default: the category.', rich_help_panel=WHICH
    ),
]
K = Annotated[
    int | None,
    typer.Option(
        "-k", help="How many references to choose; default: all of a folder, 4 of a category.", rich_help_panel=WHICH
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest", help="A references.json of an earlier run: the same references again.", rich_help_panel=WHICH
    ),
]
CropText = Annotated[
    str | None,
    typer.Option("--crop", help="'center' or x,y,width,height in pixels; default: all.", rich_help_panel=WHICH),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides the choice of references and every draw.")]
PresetName = Annotated[
    str, typer.Option("--preset", help="All settings by name; see: normalgen presets.", rich_help_panel=MODEL)
]
Size = Annotated[
    int | None, _setting("--size", "size", "Width and height of the images; photos are squashed to it.", MODEL)
]
AugmentName = Annotated[
    Literal["auto", "none", "safe", "flips", "rotations", "turned"] | None,
    _setting(
        "--augment",
        "augment",
        "What a reference may undergo: safe is +-5 degrees, size and light, no flips; rotations adds quarter turns, "
        "turned any angle; auto chooses safe or turned by how up to four references lie (of one: safe).",
        MODEL,
    ),
]
MethodName = Annotated[
    Literal["full", "fine", "lora"] | None,
    _setting("--method", "method", "Train all weights, the fine stage alone, or low-rank adapters.", MODEL),
]
TrainingSteps = Annotated[
    int | None, _setting("--training-steps", "training_steps", "Steps of the customization.", MODEL)
]
ClassImages = Annotated[
    int | None,
    _setting(
        "--class-images",
        "class_images",
        "Images of such objects in general, made once and kept, for prior preservation (--prior-weight above 0).",
        MODEL,
    ),
]
PriorWeight = Annotated[
    float | None,
    _setting(
        "--prior-weight",
        "prior_weight",
        "Weight of --class-images in the loss, to keep what the model knew (DreamBooth: 1); 0 leaves them out.",
        MODEL,
    ),
]
SamplingSteps = Annotated[
    int | None, _setting("--sampling-steps", "sampling_steps", "Steps from pure noise to an image.", SAMPLING)
]
Weights = Annotated[
    str | None,
    _setting(
        "--weights",
        "weights",
        "What is customized, instead of the preset's: Stable Diffusion 1.x or 2.x (a folder in diffusers' "
        "layout, or owner/name on the hub), or a prior of your own.",
        MODEL,
    ),
]
Guidance = Annotated[
    float | None, _setting("--guidance", "guidance", "Classifier-free guidance; 1 is off, twice as fast.", SAMPLING)
]
SamplerName = Annotated[
    Literal["ddim", "lcm", "tcd"] | None,
    _setting("--sampler", "sampler", "lcm and tcd are for --distilled weights.", SAMPLING),
]
ExplicitSteps = Annotated[
    int | None,
    _setting(
        "--explicit-steps",
        "explicit_steps",
        "Steps really made, picked evenly from those of --sampling-steps and --strength; 0 makes all.",
        SAMPLING,
    ),
]
Distilled = Annotated[
    str | None, _setting("--distilled", "distilled", "An LCM- or TCD-LoRA to sample with, file or folder.", SAMPLING)
]
PrecisionName = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    _setting("--precision", "precision", "auto: bfloat16 on CUDA, float32 elsewhere.", SAMPLING),
]
Compile = Annotated[
    bool | None, _setting("--compile/--no-compile", "compile", "torch.compile the denoiser for sampling.", SAMPLING)
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Customized model to use, or folder to make it in; default: models/CATEGORY. Also others' Stable "
        "Diffusion: a DreamBooth folder of diffusers, or a LoRA (with --preset sd15).",
        rich_help_panel=MODEL,
    ),
]
Count = Annotated[int, typer.Option("-n", help="How many images the pool shall hold; a larger n lets a pool grow.")]
PoolFolder = Annotated[
    Path | None, typer.Option("--out", help="The pool's folder; default: pools/CATEGORY.", rich_help_panel=POOL)
]
Plain = Annotated[
    float | None, _setting("--plain", "plain", "Share of augmented references as they are, without diffusion.", POOL)
]
Mix = Annotated[
    float | None,
    _setting(
        "--mix", "mix", "Share of img2img among the others (augmented references restored); the rest is txt2img.", POOL
    ),
]
Strength = Annotated[
    float | None, _setting("--strength", "strength", "How far img2img leaves its reference, in (0, 1].", POOL)
]
Prompts = Annotated[int | None, _setting("--prompts", "prompts", "Prompt set to cycle through: 1, 3, 5 or 10.", POOL)]
GateSwitch = Annotated[
    bool | None,
    _setting(
        "--gate/--no-gate",
        "gate",
        "Judge each image before it enters; what is rejected lies in POOL.normalgen/rejected.",
        POOL,
    ),
]
Budget = Annotated[
    float | None, _setting("--budget", "budget", "With the gate: candidates made at most for each image wanted.", POOL)
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="i/n: draw this worker's share, for job arrays and several machines; the last worker finishes the pool.",
        rich_help_panel=WORKERS,
    ),
]
Devices = Annotated[
    str | None,
    typer.Option("--devices", help="One worker on each, such as cuda:0,cuda:1.", rich_help_panel=WORKERS),
]
QueriesPath = Annotated[
    Path,
    typer.Argument(help="Photos to judge: one, a folder, or a folder of labelled sub-folders (good, scratch ...)."),
]
TwinPrompts = Annotated[
    int | None, _setting("--prompts", "twin_prompts", "Prompt set a twin is chosen from: 1, 3, 5 or 10.", TWINS)
]
TwinStrength = Annotated[
    float | None, _setting("--strength", "twin_strength", "How far a twin leaves its query, in (0, 1].", TWINS)
]
TwinSteps = Annotated[
    int | None, _setting("--steps", "twin_steps", "Steps really made for a twin; 0 makes all of the strength.", TWINS)
]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start anew where settings differ from what is there.")]


def cache(name: str) -> Path:
    """A folder in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("normalgen") / name


def pick_device(name: str) -> str:
    """The torch device of `--device`.

    Raises:
        DataError: unknown, or not on this machine.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, colon, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there or (colon and not number.isdecimal()):
        raise DataError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if not there[kind] or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise DataError(f"this machine has no device {name!r}; use --device auto (see: normalgen doctor)")
    return name
