"""normalgen personalize."""

from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say

OTHER_TOOLS = "Models from other tools"

ModelFolder = Annotated[
    Path,
    typer.Option(
        help="Folder of a customized model. Another tool's Stable Diffusion works, too: a diffusers DreamBooth folder, "
        "or a LoRA (with --preset sd15)."
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for twins and pictures; it replaces those of an earlier run. Default: twins/CATEGORY.",
    ),
]
PresetName = Annotated[str, typer.Option(help="Named set of all settings.", rich_help_panel=OTHER_TOOLS)]
Weights = Annotated[
    str | None,
    typer.Option(help="Base weights of a LoRA; default: the preset's.", rich_help_panel=OTHER_TOOLS),
]
Noun = Annotated[
    str, typer.Option("--object", help='Noun for the prompts, such as "solar cell".', rich_help_panel=OTHER_TOOLS)
]


def personalize(
    context: typer.Context,
    queries: inputs.QueriesPath,
    model: ModelFolder,
    out: OutFolder = None,
    crop: inputs.CropText = None,
    prompts: inputs.TwinPrompts = None,
    strength: inputs.TwinStrength = None,
    steps: inputs.TwinSteps = None,
    preset: PresetName = "tiny",
    weights: Weights = None,
    noun: Noun = "object",
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Write the normal twin of each photo, and a picture of query, twin and difference.

    normalgen personalize ./mixed --model models/good --out twins
    """
    inputs.check_queries(queries)
    missing = f"{model} holds no model; make one with: normalgen customize FOLDER --out {model}"
    inputs.check_there(model, missing)
    from normalgen.pipeline.personalize import personalize as write_twins
    from normalgen.report.twin_files import TRIPTYCHS, TWINS

    asked, crop_ = inputs.settings_in(context.params, "twins"), inputs.crop_in(context.params)
    written = write_twins(
        queries, model, out, preset=preset, settings=asked, noun=noun, crop=crop_, seed=seed, device=device
    )
    say(f"{written.count} twins: {written.folder / TWINS}; query, twin and difference: {written.folder / TRIPTYCHS}")
    for message in written.errors.values():
        note(message)
    if written.errors:
        raise typer.Exit(1)
