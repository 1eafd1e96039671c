"""The options that several commands share, and what they mean."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from normalgen.cli.show import note
from normalgen.errors import DataError

if TYPE_CHECKING:
    from normalgen.references import References

WHICH, MODEL, SAMPLING, POOL, WORKERS = "Which photos", "Model", "Sampling", "Pool", "Several workers"
TWINS = "Twins"

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
    int | None,
    typer.Option("--size", help="Width and height of the images; photos are squashed to it.", rich_help_panel=MODEL),
]
AugmentName = Annotated[
    Literal["none", "safe", "flips", "rotations"] | None,
    typer.Option(
        "--augment",
        help="What a reference may undergo: safe is +-5 degrees, size and light, no flips.",
        rich_help_panel=MODEL,
    ),
]
MethodName = Annotated[
    Literal["full", "fine", "lora"] | None,
    typer.Option(
        "--method", help="Train all weights, the fine stage alone, or low-rank adapters.", rich_help_panel=MODEL
    ),
]
TrainingSteps = Annotated[
    int | None, typer.Option("--training-steps", help="Steps of the customization.", rich_help_panel=MODEL)
]
ClassImages = Annotated[
    int | None,
    typer.Option(
        "--class-images",
        help="Images of such objects in general, made once and kept, that preserve what the model knew; 0: none.",
        rich_help_panel=MODEL,
    ),
]
SamplingSteps = Annotated[
    int | None, typer.Option("--sampling-steps", help="Steps from pure noise to an image.", rich_help_panel=SAMPLING)
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="What is customized, instead of the preset's: Stable Diffusion 1.x or 2.x (a folder in diffusers' layout, "
        "or owner/name on the hub), or a prior of your own.",
        rich_help_panel=MODEL,
    ),
]
Guidance = Annotated[
    float | None,
    typer.Option("--guidance", help="Classifier-free guidance; 1 is off, twice as fast.", rich_help_panel=SAMPLING),
]
SamplerName = Annotated[
    Literal["ddim", "lcm", "tcd"] | None,
    typer.Option("--sampler", help="lcm and tcd are for --distilled weights.", rich_help_panel=SAMPLING),
]
ExplicitSteps = Annotated[
    int | None,
    typer.Option(
        "--explicit-steps",
        help="Steps really made, picked evenly from those of --sampling-steps and --strength; 0 makes all.",
        rich_help_panel=SAMPLING,
    ),
]
Distilled = Annotated[
    str | None,
    typer.Option("--distilled", help="An LCM- or TCD-LoRA to sample with, file or folder.", rich_help_panel=SAMPLING),
]
PrecisionName = Annotated[
    Literal["auto", "float32", "bfloat16"] | None,
    typer.Option("--precision", help="auto: bfloat16 on CUDA, float32 elsewhere.", rich_help_panel=SAMPLING),
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="torch.compile the denoiser for sampling.", rich_help_panel=SAMPLING),
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
    float | None,
    typer.Option("--plain", help="Share of augmented references as they are, without diffusion.", rich_help_panel=POOL),
]
Mix = Annotated[
    float | None,
    typer.Option(
        "--mix",
        help="Share of img2img among the others (augmented references restored); the rest is txt2img.",
        rich_help_panel=POOL,
    ),
]
Strength = Annotated[
    float | None,
    typer.Option("--strength", help="How far img2img leaves its reference, in (0, 1].", rich_help_panel=POOL),
]
Prompts = Annotated[
    int | None,
    typer.Option("--prompts", help="Prompt set to cycle through: 1, 3, 5 or 10.", rich_help_panel=POOL),
]
GateSwitch = Annotated[
    bool | None,
    typer.Option(
        "--gate/--no-gate",
        help="Judge each image before it enters; what is rejected lies in the pool's __normalgen__/rejected.",
        rich_help_panel=POOL,
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        help="With the gate: candidates made at most for each image wanted; default 2.",
        rich_help_panel=POOL,
    ),
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
    int | None,
    typer.Option("--prompts", help="Prompt set a twin is chosen from: 1, 3, 5 or 10.", rich_help_panel=TWINS),
]
TwinStrength = Annotated[
    float | None, typer.Option("--strength", help="How far a twin leaves its query, in (0, 1].", rich_help_panel=TWINS)
]
TwinSteps = Annotated[
    int | None,
    typer.Option("--steps", help="Steps really made for a twin; 0 makes all of the strength.", rich_help_panel=TWINS),
]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start anew where settings differ from what is there.")]

DEFAULT_K = 4


def cache(name: str) -> Path:
    """A folder in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("normalgen") / name


def references_from(
    folder: Path | None,
    category: str | None,
    data: Path | None,
    noun: str | None,
    k: int | None,
    manifest: Path | None,
    crop: str | None,
    seed: int,
) -> "References":
    """The references that the options name.

    Raises:
        DataError: nothing named, not found, too few, or options that contradict each other.
    """
    from normalgen.data import check_name, find_category, folder_category
    from normalgen.images import parse_crop
    from normalgen.references import choose, from_manifest, read_manifest

    shots = read_manifest(manifest) if manifest else None
    if shots and k not in (None, len(shots.rows)):
        raise DataError(f"the manifest names {len(shots.rows)} references and -k asks for {k}; give one of the two")
    if shots and category not in (None, shots.category):
        raise DataError(f"the manifest is of category {shots.category!r}, --category says {category!r}")
    name = category or (shots.category if shots else None)
    if folder is None and name is None:
        raise DataError("name a folder of normal photos (normalgen generate ./good) or a --category")
    if name is not None:
        check_name(name)
    found = folder_category(folder, name) if folder else find_category(name or "", data)
    noun = (noun or found.noun).strip()
    if not noun:
        raise DataError("--object must be a word or several, got an empty text")
    if shots:
        references = from_manifest(found.normals, shots, category=found.name, noun=noun)
    else:
        wanted = k if k is not None or folder else min(DEFAULT_K, len(found.normals))
        references = choose(found.normals, wanted, dataset=found.dataset, category=found.name, noun=noun, seed=seed)
    used = len(references.images)
    if used < references.available:
        note(f"{used} of {references.available} normal images are references (-k); the others are left out")
    return replace(references, images=references.images.cropped(None if crop is None else parse_crop(crop)))


def check_photos(references: "References", size: int) -> None:
    """Decode each photo once, so that a bad file is told of now; one line where the resize hides detail.

    Raises:
        DataError: a photo cannot be read, or the crop leaves it.
    """
    smallest = references.images.smallest_detail(size)
    if smallest > 3:
        note(
            f"photos are scaled down to {size} px: a defect narrower than about {smallest} of their pixels will not "
            f"show; use --crop, or a larger --size"
        )


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
