"""The options that several commands share, and what they mean."""

from pathlib import Path
from typing import Annotated, Any

import typer

from normalgen.errors import DataError
from normalgen.settings.configs import Augment, Method, Precision, Sampler
from normalgen.settings.preset import every_setting
from normalgen.settings.presets import PRESETS

WHICH, MODEL, SAMPLING, POOL, WORKERS = "Which photos", "Model", "Sampling", "Pool", "Several workers"
TWINS = "Twins"
_WORDS = {"True": "on", "False": "off", "": "none"}


def _setting(name: str, panel: str) -> Any:
    """The option of the setting `name`; its help says what preset tiny has."""
    described, value = every_setting()[name], PRESETS["tiny"].flat()[name]
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    text = f"{described.help} Preset tiny: {_WORDS.get(shown, shown)}."
    return typer.Option(described.flag, help=text, rich_help_panel=panel)


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
Size = Annotated[int | None, _setting("size", MODEL)]
AugmentName = Annotated[Augment | None, _setting("augment", MODEL)]
MethodName = Annotated[Method | None, _setting("train.method", MODEL)]
TrainingSteps = Annotated[int | None, _setting("train.steps", MODEL)]
ClassImages = Annotated[int | None, _setting("train.class_images", MODEL)]
PriorWeight = Annotated[float | None, _setting("train.prior_weight", MODEL)]
SamplingSteps = Annotated[int | None, _setting("sample.steps", SAMPLING)]
Weights = Annotated[str | None, _setting("weights", MODEL)]
Guidance = Annotated[float | None, _setting("sample.guidance", SAMPLING)]
SamplerName = Annotated[Sampler | None, _setting("sample.sampler", SAMPLING)]
ExplicitSteps = Annotated[int | None, _setting("sample.explicit_steps", SAMPLING)]
Distilled = Annotated[str | None, _setting("sample.distilled", SAMPLING)]
PrecisionName = Annotated[Precision | None, _setting("sample.precision", SAMPLING)]
Compile = Annotated[bool | None, _setting("sample.compile", SAMPLING)]
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
Plain = Annotated[float | None, _setting("pool.plain", POOL)]
Mix = Annotated[float | None, _setting("pool.mix", POOL)]
Strength = Annotated[float | None, _setting("pool.strength", POOL)]
Prompts = Annotated[int | None, _setting("pool.prompts", POOL)]
GateSwitch = Annotated[bool | None, _setting("pool.gate", POOL)]
Budget = Annotated[float | None, _setting("pool.budget", POOL)]
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
TwinPrompts = Annotated[int | None, _setting("twins.prompts", TWINS)]
TwinStrength = Annotated[float | None, _setting("twins.strength", TWINS)]
TwinSteps = Annotated[int | None, _setting("twins.steps", TWINS)]
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
