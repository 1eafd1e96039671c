"""normalgen personalize."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.checks import need, need_queries, need_twins
from normalgen.cli.job import open_model
from normalgen.cli.photos import QUERY_DEPTH, tell_of_crop, tell_of_left_out
from normalgen.cli.show import going_on, note, progress, say
from normalgen.errors import DataError
from normalgen.files import keep_only, write_json
from normalgen.presets import preset as make_preset
from normalgen.record import claim

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 8
RUN, KINDS = "run.json", ("twin", "triptych")
OTHERS = "Models of others"

ModelFolder = Annotated[
    Path,
    typer.Option(
        help="A customized model's folder. Also others' Stable Diffusion: a DreamBooth folder of diffusers, or a LoRA "
        "(with --preset sd15)."
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
    out: Annotated[Path, typer.Option(help="Folder for the twins and the pictures.")] = Path("twins"),
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
    from normalgen.images import parse_crop, to_pil
    from normalgen.pages import triptych
    from normalgen.personalize import Personalizer
    from normalgen.queries import find_queries

    changes = {"weights": weights, "twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    settings, where = make_preset(preset, **changes), inputs.pick_device(device)
    loaded = open_model(model, settings, where, changes, category="", noun=noun)
    if loaded is None:
        raise DataError(nothing)
    need_twins(loaded.preset)
    found = find_queries(queries, None if crop is None else parse_crop(crop))
    tell_of_left_out(queries, QUERY_DEPTH)
    tell_of_crop("the model", model, found.images.crop)
    claim(out / RUN)
    personalizer = Personalizer(loaded, seed=seed)
    total, done, errors = len(found.images), 0, dict[str, str]()
    with going_on(), progress() as watch:
        watch("personalize", 0, total)
        for some, unread in found.batches(loaded.preset.size, BATCH):
            for made in personalizer.batches(some, BATCH):
                pairs = [(to_pil(query), to_pil(twin)) for query, twin in zip(made.queries, made.twins, strict=True)]
                for name, (query, twin) in zip(some.names, pairs, strict=True):
                    _write(twin, out / KINDS[0], name)
                    _write(triptych(query, twin), out / KINDS[1], name)
            done, errors = done + len(some) + len(unread), errors | unread
            watch("personalize", done, total)
    pictures = {_file(name) for name in found.images.names if name not in errors}
    for kind in KINDS:
        keep_only(out / kind, pictures)
    write_json(out / RUN, {"settings": loaded.preset.settings() | {"model": loaded.digest, "seed": seed}})
    say(f"{done - len(errors)} twins: {out / 'twin'}; query, twin and difference: {out / 'triptych'}")
    for message in errors.values():
        note(message)
    if errors:
        raise typer.Exit(1)


def _write(picture: "Image", folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / _file(name))


def _file(name: str) -> str:
    return f"{name.replace('/', '__')}.png"
