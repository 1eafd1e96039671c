"""normalgen personalize."""

from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.checks import need, need_apart, need_queries
from normalgen.cli.job import open_model, saved_preset
from normalgen.cli.photos import QUERY_DEPTH, tell_of_crop, tell_of_left_out
from normalgen.cli.show import going_on, note, progress, say
from normalgen.errors import DataError
from normalgen.settings.presets import change
from normalgen.settings.presets import preset as make_preset

OTHERS = "Models of others"

ModelFolder = Annotated[
    Path,
    typer.Option(
        help="A customized model's folder. Also others' Stable Diffusion: a DreamBooth folder of diffusers, or a LoRA "
        "(with --preset sd15)."
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of twins and pictures; an earlier run's give way. Default: twins/CATEGORY.",
    ),
]
PresetName = Annotated[str, typer.Option(help="All settings by name.", rich_help_panel=OTHERS)]
Weights = Annotated[
    str | None, typer.Option(help="What a LoRA builds on, if not the preset's.", rich_help_panel=OTHERS)
]
Noun = Annotated[
    str, typer.Option("--object", help='The noun in prompts, such as "solar cell".', rich_help_panel=OTHERS)
]


def personalize(
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
    """Make each photo's normal twin, and a picture of query, twin and difference.

    normalgen personalize ./mixed --model models/good --out twins
    """
    need_queries(queries)
    nothing = f"{model} holds no model; make one with: normalgen customize FOLDER --out {model}"
    need(model, nothing)
    tell_of_left_out(queries, QUERY_DEPTH)
    from normalgen.data.queries import find_queries
    from normalgen.detectors.one_to_normal.twins import Personalizer
    from normalgen.images.crop import parse_crop
    from normalgen.io.outputs import see_free
    from normalgen.report.twin_files import MADE_BY, TRIPTYCHS, TWINS, write_twins

    found = find_queries(queries, None if crop is None else parse_crop(crop))
    changes = {"weights": weights, "twins": {"prompts": prompts, "strength": strength, "steps": steps}}
    named, where = make_preset(preset), inputs.pick_device(device)
    settings = change(saved_preset(model) or named, **changes)
    loaded = open_model(model, settings, where, changes, category="", noun=noun)
    if loaded is None:
        raise DataError(nothing)
    tell_of_crop("the model", model, found.images.crop)
    place = model.resolve()
    folder = out or Path("twins") / (loaded.category or (place if place.is_dir() else place.parent).name)
    need_apart(queries, folder)
    see_free(folder, MADE_BY)
    personalizer = Personalizer(loaded, seed=seed)
    with going_on(), progress() as watch:
        errors = write_twins(personalizer, found, folder, watch=watch)
    made = len(found.images) - len(errors)
    say(f"{made} twins: {folder / TWINS}; query, twin and difference: {folder / TRIPTYCHS}")
    for message in errors.values():
        note(message)
    if errors:
        raise typer.Exit(1)
