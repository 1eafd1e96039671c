"""normalgen screen."""

from pathlib import Path
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import say

Photos = Annotated[Path, typer.Argument(help="Folder of unlabeled photos, most of them of good parts.")]
FeaturesName = Annotated[
    str, typer.Option("--features", help="What judges the photos: embedded, vit, cnn (fast), dinov2[:FILE] and others.")
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder for page and table; it replaces those of an earlier run. Default: screenings/CATEGORY."
    ),
]


def screen(
    context: typer.Context,
    photos: Photos,
    references: inputs.ReferenceFolder = None,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    contamination: inputs.Contamination = None,
    features: FeaturesName = "embedded",
    out: OutFolder = None,
    seed: inputs.Seed = 0,
    device: inputs.DeviceName = "auto",
) -> None:
    """Decide which unlabeled photos show good parts, from a few good photos and from each other.

    normalgen screen ./line_photos --references ./good
    """
    inputs.check_queries(photos)
    chosen = inputs.references_in(context.params, references)
    from normalgen.pipeline.screening import screen as screen_photos
    from normalgen.report.screening_files import PAGE, TABLE

    screened = screen_photos(
        photos, chosen, out, contamination=contamination, features=features, seed=seed, device=device
    )
    for sentence in screened.sentences:
        say(sentence)
    say(f"  page   {screened.folder / PAGE}")
    say(f"  table  {screened.folder / TABLE}")
