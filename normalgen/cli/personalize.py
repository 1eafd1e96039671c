"""normalgen personalize."""

from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import going_on, note, progress, say


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
    from normalgen.diffusion.model import NormalModel
    from normalgen.images import parse_crop, to_pil
    from normalgen.pages import triptych
    from normalgen.personalize import Personalizer
    from normalgen.queries import find_queries

    changes = {"twin_prompts": prompts, "twin_strength": strength, "twin_steps": steps}
    loaded = NormalModel.load(model, device=inputs.pick_device(device), changes=changes)
    found, errors = find_queries(queries, None if crop is None else parse_crop(crop)).readable()
    personalizer = Personalizer(loaded, seed=seed)
    total, done = len(found.images), 0
    with going_on(), progress() as watch:
        watch("personalize", 0, total)
        for batch in personalizer.batches(found.images):
            for place, (query, twin) in enumerate(zip(batch.queries, batch.twins, strict=True)):
                name = found.images.names[done + place].replace("/", "__")
                for part, picture in (("twin", to_pil(twin)), ("triptych", triptych(to_pil(query), to_pil(twin)))):
                    path = out / part / f"{name}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
            done += len(batch.queries)
            watch("personalize", done, total)
    say(f"{done} twins: {out / 'twin'}; query, twin and difference: {out / 'triptych'}")
    for message in errors.values():
        note(message)
    if errors:
        raise typer.Exit(1)
