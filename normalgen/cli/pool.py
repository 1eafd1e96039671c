"""normalgen pool ..."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import MARK, say, table
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from normalgen.quality.acceptance import Line

pool_app = typer.Typer(no_args_is_help=True, help="Look at pools.")


@pool_app.command()
def merge(folder: Annotated[Path, typer.Argument(help="The pool's folder.")]) -> None:
    """Judge what --shard workers have drawn so far and add it to the pool; needs no model.

    The last worker does this itself. If all workers have stopped, start others, or a generate command without --shard.

    normalgen pool merge pools/elpv-mono
    """
    from normalgen.pool.generate import merge_pool

    with progress_bars() as watch:
        pool, wanted = merge_pool(folder, watch=watch)
    say(f"{len(pool)} of {wanted} images: {folder}")
    if len(pool) < wanted:
        say("to continue: the same generate command, with or without --shard; workers that still draw need nothing")


@pool_app.command()
def quality(
    folder: Annotated[Path, typer.Argument(help="The pool's folder.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of normal photos: the references, and others that the pool never saw."),
    ] = None,
    data: inputs.Data = None,
    sample: Annotated[int, typer.Option(min=1, help="At most so many images of each kind are looked at.")] = 64,
    seed: Annotated[int, typer.Option(help="Draws the augmented references.")] = 1,
) -> None:
    """Measure a pool against real normal photos that it never saw, beside plain augmentation without diffusion.

    For a built-in category the photos are found by themselves; else name the folder that the references came from.

    normalgen pool quality pools/elpv-mono

    normalgen pool quality pools/bracket --photos ./all_good_photos

    coverage: share of held-out normal patches that are nearer to references + images than to references alone.
    distance closed: by how much their distance falls. Both say what a memory bank gains. spectrum, worst octave: power
    against real photos in the octave of frequency that is farthest off. seam: gradients on an 8-px grid against
    elsewhere. likest pair: the distance of the two images that are most alike; 0 is a copy. bar: the range of ratios
    to real photos that is taken for like them, as far as augmented references go if that is farther; or what augmented
    references reach. A value that misses its bar is marked with !, and put into words below the table.
    """
    from normalgen.pipeline.quality import measure_pool

    result = measure_pool(folder, photos, data, sample=sample, seed=seed)
    pool = result.pool
    say(table(["measure", *result.lines[0].values, "bar"], _rows(result.lines)))
    _say_misses(result.lines)
    say(f"{result.images} images of each; the pool kept {len(pool)}, rejected {len(pool.rejected())}")
    say(f"as data: {result.path}")


def _rows(found: "list[Line]") -> list[list[str]]:
    def cell(line: "Line", name: str) -> str:
        value = line.values[name]
        text = "-" if value is None else f"{value:.{line.digits}f}"
        return f"{text} {MARK}" if name in line.misses else text

    return [[line.measure, *(cell(line, name) for name in line.values), line.bar] for line in found]


def _say_misses(found: "list[Line]") -> None:
    """In words, what misses its bar."""
    misses = [(name, line, words) for line in found for name, words in line.misses.items()]
    if not misses:
        untaken = sum(value is None for line in found for value in line.values.values())
        return say(f"all measures{' that could be taken' if untaken else ''} are within their bars")
    say(f"{MARK} misses its bar:")
    for name, line, words in misses:
        say(f"  {name}, {line.measure}: {words} (bar: {line.bar})")
    return None
