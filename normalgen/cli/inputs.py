"""The options that several commands share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normalgen.errors import DataError, PresetError
from normalgen.settings.configs import Augment, Method, Precision, Sampler
from normalgen.settings.preset import Preset, every_setting
from normalgen.settings.presets import PRESETS

if TYPE_CHECKING:
    from normalgen.data.labels import LabelNames
    from normalgen.images.crop import Crop
    from normalgen.references import References

WHICH, MODEL, SAMPLING, POOL, WORKERS = "Which photos", "Model", "Sampling", "Pool", "Several workers"
TWINS, LABELS = "Twins", "Labels"
_WORDS = {"True": "on", "False": "off", "": "none"}


def _setting(name: str, panel: str) -> Any:
    """Return the option for the setting `name`; its help gives the value in preset tiny."""
    described, value = every_setting()[name], PRESETS["tiny"].flat()[name]
    text = f"{value:g}" if isinstance(value, float) else str(value)
    help_text = f"{described.help} Preset tiny: {_WORDS.get(text, text)}."
    return typer.Option(described.flag, help=help_text, rich_help_panel=panel)


Folder = Annotated[Path | None, typer.Argument(help="Folder of normal photos; all are references unless -k is given.")]
ReferenceFolder = Annotated[
    Path | None,
    typer.Option(
        "--references", help="Folder of normal photos, instead of those of --category.", rich_help_panel=WHICH
    ),
]
CategoryName = Annotated[
    str | None,
    typer.Option(
        "--category",
        help="Name of the category; default: the folder's name. Built in: elpv-mono, elpv-poly.",
        rich_help_panel=WHICH,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="NORMALGEN_DATA",
        help="Folder of categories: ROOT/CATEGORY/train/good.",
        rich_help_panel=WHICH,
    ),
]
Object = Annotated[
    str | None,
    typer.Option(
        "--object", help='Noun for the prompts, such as "solar cell"; default: the category.', rich_help_panel=WHICH
    ),
]
K = Annotated[
    int | None,
    typer.Option(
        "-k", help="How many references to choose; default: all in a folder, 4 in a category.", rich_help_panel=WHICH
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest", help="references.json of an earlier run, to use the same references again.", rich_help_panel=WHICH
    ),
]
CropText = Annotated[
    str | None,
    typer.Option(
        "--crop",
        help="'center' or x,y,width,height in pixels; default: no crop.",
        rich_help_panel=WHICH,
    ),
]
Tile = Annotated[
    int,
    typer.Option(
        "--tile",
        help="Cut photos into overlapping squares of this many pixels, each of them resized to --size, so that small "
        "defects on large photos show. 0: whole photos.",
        rich_help_panel=WHICH,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed for every random choice.")]
PresetName = Annotated[
    str, typer.Option("--preset", help="Named set of all settings; see: normalgen presets.", rich_help_panel=MODEL)
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
        help="Folder of a customized model, or where to make one; default: models/CATEGORY. Another tool's Stable "
        "Diffusion works, too: a diffusers DreamBooth folder, or a LoRA (with --preset sd15).",
        rich_help_panel=MODEL,
    ),
]
Count = Annotated[int, typer.Option("-n", help="How many images the pool should have; a larger n extends a pool.")]
PoolFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder for the pool; default: pools/CATEGORY.", rich_help_panel=POOL)
]
Plain = Annotated[float | None, _setting("pool.plain", POOL)]
Mix = Annotated[float | None, _setting("pool.mix", POOL)]
Strength = Annotated[float | None, _setting("pool.strength", POOL)]
Prompts = Annotated[int | None, _setting("pool.prompts", POOL)]
GateSwitch = Annotated[bool | None, _setting("pool.gate", POOL)]
GateFeatures = Annotated[str | None, _setting("pool.gate_features", POOL)]
Budget = Annotated[float | None, _setting("pool.budget", POOL)]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="i/n: draw share i of n, for job arrays and several machines; the last worker finishes the pool.",
        rich_help_panel=WORKERS,
    ),
]
Devices = Annotated[
    str | None,
    typer.Option("--devices", help="Run one worker per device, such as cuda:0,cuda:1.", rich_help_panel=WORKERS),
]
QueriesPath = Annotated[
    Path,
    typer.Argument(help="Photos to judge: one, a folder, or a folder with labelled sub-folders (good, scratch ...)."),
]
NormalNames = Annotated[
    list[str] | None,
    typer.Option(
        "--normal",
        metavar="NAME",
        help="Folder that holds normal photos, if its name does not say so; may be repeated.",
        rich_help_panel=LABELS,
    ),
]
AnomalousNames = Annotated[
    list[str] | None,
    typer.Option(
        "--anomalous",
        metavar="NAME",
        help="Folder that holds anomalous photos, if its name does not say so; may be repeated.",
        rich_help_panel=LABELS,
    ),
]
Unlabeled = Annotated[
    Path | None,
    typer.Option(
        "--unlabeled",
        help="Folder of unlabeled photos, most of them good: the pool gets those that a screening keeps.",
        rich_help_panel=POOL,
    ),
]
Contamination = Annotated[
    float | None,
    typer.Option(
        "--contamination",
        min=0.0,
        max=0.99,
        help="Share of the unlabeled photos to leave out. Default: those that stand out, if more than half are good.",
        rich_help_panel=POOL,
    ),
]
REPAIR = "Repair unlabeled photos that are unusual in a small part: the pool gets those in which nothing is, then."
Repair = Annotated[bool, typer.Option("--repair/--no-repair", help=REPAIR, rich_help_panel=POOL)]
TwinPrompts = Annotated[int | None, _setting("twins.prompts", TWINS)]
TwinStrength = Annotated[float | None, _setting("twins.strength", TWINS)]
TwinSteps = Annotated[int | None, _setting("twins.steps", TWINS)]
DeviceName = Annotated[str, typer.Option("--device", help="Device to run on: auto, cpu, cuda, cuda:N or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result if its settings differ.")]


def settings_in(params: Mapping[str, Any], *groups: str) -> dict[str, Any]:
    """Return a command's settings by group; None if an option was left out.

    Args:
        params: the command's parameters by name.
        groups: groups of settings to include, as well as the settings without a group.
    """
    asked: dict[str, Any] = {}
    for name, setting in every_setting().items():
        group, _, inner = name.rpartition(".")
        if setting.flag and (not group or group in groups):
            option = setting.flag.partition("/")[0].removeprefix("--").replace("-", "_")
            value = params.get(option, params.get(f"{option}_"))
            (asked.setdefault(group, {}) if group else asked)[inner] = value
    return asked


def check_prior(settings: Preset, class_images: int | None) -> None:
    """Check that class images, if requested, have a weight in the loss.

    Raises:
        PresetError: they have none.
    """
    if class_images and not settings.train.prior_weight:
        raise PresetError("--class-images need a weight in the loss; also give --prior-weight (DreamBooth uses 1)")


def references_in(params: Mapping[str, Any], folder: Path | None) -> "References":
    """Return the references that a command's options name; fails early if a path does not exist.

    Raises:
        DataError: as `normalgen.references.find_references`.
    """
    data, manifest = params["data"], params["manifest"]
    check_there(manifest, f"--manifest {manifest} does not exist; name the references.json of an earlier run")
    check_there(folder, f"{folder} does not exist; name a folder of normal images")
    if folder is None:
        check_there(data, f"the data folder {data} does not exist; name the folder that holds CATEGORY/train/good")
    from normalgen.references import ReferenceChoice, find_references

    given = {name: params[name] for name in ("category", "data", "noun", "k", "manifest", "seed")}
    return find_references(ReferenceChoice(folder, **given, crop=crop_in(params), tile=params.get("tile", 0)))


def crop_in(params: Mapping[str, Any]) -> "str | Crop | None":
    """Return the crop that --crop names; None without --crop.

    Raises:
        DataError: --crop is not a crop.
    """
    from normalgen.images.crop import parse_crop

    return None if params["crop"] is None else parse_crop(params["crop"])


def label_names(normal: Sequence[str] | None, anomalous: Sequence[str] | None) -> "LabelNames":
    """Return the names of folders given with --normal and --anomalous.

    Raises:
        DataError: they contradict each other.
    """
    from normalgen.data.labels import LabelNames

    return LabelNames(tuple(normal or ()), tuple(anomalous or ()))


def check_queries(path: Path) -> None:
    """Check that the queries exist, and print a note about photos that are skipped.

    Raises:
        DataError: the path does not exist.
    """
    check_there(path, f"{path} does not exist; name a photo, a folder of photos, or one with labelled sub-folders")
    from normalgen.images.listing import note_skipped

    note_skipped(path, depth=2)


def check_unlabeled(folder: Path | None, contamination: float | None, *, repair: bool = False) -> None:
    """Check --unlabeled, --contamination and --repair, and print a note about files that are skipped.

    Raises:
        DataError: the folder does not exist; or there is none, but a contamination or repair.
    """
    from normalgen.pipeline.pool_making import check_unlabeled as check_share

    check_share(folder, contamination, repair=repair)
    check_there(folder, f"--unlabeled: {folder} does not exist; name a folder of photos")
    if folder is not None:
        from normalgen.images.listing import note_skipped

        note_skipped(folder, depth=2)


def check_there(path: Path | None, message: str) -> None:
    """Check that a path exists, if one was given; the path may still be unreadable.

    Raises:
        DataError: it does not exist; the text is `message`.
    """
    try:
        if path is not None:
            path.stat()
    except FileNotFoundError:
        raise DataError(message) from None
    except OSError:
        pass
