"""normalgen suggest."""

from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.screen import FeaturesName, Photos
from normalgen.cli.show import say, say_table
from normalgen.errors import DataError

Show = Annotated[int, typer.Option("--show", min=1, help="How many photos to suggest.")]
Confirmed = Annotated[
    list[str] | None,
    typer.Option(
        "--confirm",
        metavar="NAME",
        help="Copy this photo, which you found good, to the folder of references; may be repeated.",
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder for the page; it replaces that of an earlier run. Default: suggestions/CATEGORY."
    ),
]


def suggest(
    context: typer.Context,
    photos: Photos,
    references: inputs.ReferenceFolder = None,
    show: Show = 8,
    confirm: Confirmed = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    features: FeaturesName = "embedded",
    out: OutFolder = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Suggest which unlabeled photos to confirm as good: a question first, then those that add most variety.

    normalgen suggest ./line_photos --references ./good --show 8

    normalgen suggest ./line_photos --references ./good --confirm a17.png --confirm a41.png
    """
    inputs.check_queries(photos)
    from normalgen.pipeline.suggest import confirm as add
    from normalgen.pipeline.suggest import suggest as suggest_photos
    from normalgen.report.screening_files import PAGE

    if confirm:
        if references is None:
            raise DataError("--confirm copies photos to the folder of --references; name it, too")
        inputs.check_there(references, f"{references} does not exist; name a folder of normal images")
        add(photos, references, confirm)
        return
    chosen = inputs.references_in(context.params, references)
    found = suggest_photos(photos, chosen, out, show=show, features=features, seed=seed, device=device)
    say_table(["photo", "why"], [list(row) for row in zip(found.images.names, found.reasons, strict=True)])
    say(f"  page  {found.folder / PAGE}")
    say("add those that are good:  the same command with --confirm NAME")
