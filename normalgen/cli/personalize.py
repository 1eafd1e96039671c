"""normalgen personalize."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.checks import need, need_queries
from normalgen.cli.show import going_on, note, progress, say

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 8


def personalize(
    queries: inputs.QueriesPath,
    model: Annotated[Path, typer.Option(help="A customized model's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the twins and the pictures.")] = Path("twins"),
    crop: inputs.CropText = None,
    prompts: inputs.TwinPrompts = None,
    strength: inputs.TwinStrength = None,
    steps: inputs.TwinSteps = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Make each photo's normal twin, and a picture of query, twin and difference.

    normalgen personalize ./mixed --model models/good --out twins
    """
    need_queries(queries)
    need(model, f"{model} holds no model; make one with: normalgen customize FOLDER --out {model}")
    from normalgen.diffusion.model import NormalModel
    from normalgen.images import parse_crop, to_pil
    from normalgen.pages import triptych
    from normalgen.personalize import Personalizer
    from normalgen.queries import find_queries

    changes = {"twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    loaded = NormalModel.load(model, device=inputs.pick_device(device), changes=changes)
    found = find_queries(queries, None if crop is None else parse_crop(crop))
    personalizer = Personalizer(loaded, seed=seed)
    total, done, errors = len(found.images), 0, dict[str, str]()
    with going_on(), progress() as watch:
        watch("personalize", 0, total)
        for some, unread in found.batches(loaded.preset.size, BATCH):
            for made in personalizer.batches(some, BATCH):
                pairs = [(to_pil(query), to_pil(twin)) for query, twin in zip(made.queries, made.twins, strict=True)]
                for name, (query, twin) in zip(some.names, pairs, strict=True):
                    _write(twin, out / "twin", name)
                    _write(triptych(query, twin), out / "triptych", name)
            done, errors = done + len(some) + len(unread), errors | unread
            watch("personalize", done, total)
    say(f"{done - len(errors)} twins: {out / 'twin'}; query, twin and difference: {out / 'triptych'}")
    for message in errors.values():
        note(message)
    if errors:
        raise typer.Exit(1)


def _write(picture: "Image", folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{name.replace('/', '__')}.png")
