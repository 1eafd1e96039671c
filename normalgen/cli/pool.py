"""normalgen pool ..."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import MARK, say, say_table
from normalgen.errors import DataError
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from normalgen.quality.acceptance import Line

pool_app = typer.Typer(no_args_is_help=True, help="Merge, check and measure pools.")


@pool_app.command()
def merge(folder: Annotated[Path, typer.Argument(help="The pool's folder.")]) -> None:
    """Judge the images that --shard workers have drawn so far, and add them to the pool. This needs no model.

    The last worker does this itself. If all workers have stopped, start new ones,
    or run generate without --shard.

    normalgen pool merge pools/elpv-mono
    """
    from normalgen.pool.generate import merge_pool

    with progress_bars() as watch:
        pool, wanted = merge_pool(folder, watch=watch)
    say(f"{len(pool)} of {wanted} images: {folder}")
    if len(pool) < wanted:
        say("to continue, run the same generate command, with or without --shard; running workers continue")


@pool_app.command()
def check(folder: Annotated[Path, typer.Argument(help="The pool's folder.")]) -> None:
    """Read every record and image of a pool, and print what is damaged or missing.

    The generate command that made the pool makes the damaged images again.

    normalgen pool check pools/elpv-mono
    """
    from normalgen.pool.inspection import pool_faults

    with progress_bars() as watch:
        faults = pool_faults(folder, watch=watch)
    for fault in faults:
        say(fault)
    if faults:
        count = f"{len(faults)} fault{'s' * (len(faults) > 1)}"
        raise DataError(f"{folder} has {count}; to repair it, rerun its normalgen generate command")
    say(f"no faults: {folder}")


@pool_app.command()
def quality(
    folder: Annotated[Path, typer.Argument(help="The pool's folder.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of normal photos: the references, and photos the pool never saw."),
    ] = None,
    data: inputs.Data = None,
    sample: Annotated[int, typer.Option(min=1, help="Measure at most this many images of each kind.")] = 64,
    features: Annotated[
        str, typer.Option(help="What compares patches for the advice: embedded, vit, cnn (fast) and others.")
    ] = "embedded",
    seed: Annotated[int, typer.Option(help="Seed for augmented references and drawn defects.")] = 1,
) -> None:
    """Say whether to use a pool: measure it on good photos it never saw, beside plain augmentation.

    The advice compares how well a patch memory tells those photos from the same
    ones with drawn defects. The table measures the pool's diffusion images.

    For a built-in category the photos are found automatically; otherwise name
    their folder with --photos.

    normalgen pool quality pools/elpv-mono

    normalgen pool quality pools/bracket --photos ./all_good_photos

    coverage: share of held-out normal patches that are nearer to references +
    images than to references alone; what a memory bank gains.

    distance closed: how much their distance falls; what a memory bank gains.

    spectrum, worst octave: power relative to real photos, in the frequency octave
    that differs most.

    seam: gradients on an 8-px grid relative to elsewhere.

    likest pair: distance between the two most similar images; 0 is a copy.

    bar: the accepted range of ratios to real photos, widened to what augmented
    references reach; or the value of augmented references. A value that misses
    its bar is marked with ! and explained below the table.
    """
    from normalgen.pipeline.quality import measure_pool

    with progress_bars() as watch:
        result = measure_pool(folder, photos, data, sample=sample, features=features, seed=seed, watch=watch)
    pool = result.pool
    if result.lines:
        say_table(["measure", *result.lines[0].values, "bar"], _rows(result.lines))
        _say_misses(result.lines)
        say(f"{result.images} images of each; the pool kept {len(pool)}, rejected {len(pool.rejected())}")
    say(result.advice)
    say(f"data: {result.path}")


def _rows(lines: "list[Line]") -> list[list[str]]:
    def cell(line: "Line", name: str) -> str:
        value = line.values[name]
        text = "-" if value is None else f"{value:.{line.digits}f}"
        return f"{text} {MARK}" if name in line.misses else text

    return [[line.measure, *(cell(line, name) for name in line.values), line.bar] for line in lines]


def _say_misses(lines: "list[Line]") -> None:
    """Print in words what misses its bar."""
    misses = [(name, line, words) for line in lines for name, words in line.misses.items()]
    if not misses:
        untaken = sum(value is None for line in lines for value in line.values.values())
        return say(f"all {'available ' if untaken else ''}measures are within their bars")
    say(f"{MARK} misses its bar:")
    for name, line, words in misses:
        say(f"  {name}, {line.measure}: {words} (bar: {line.bar})")
    return None
