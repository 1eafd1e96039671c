"""normalgen pool ..."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normalgen.cli import inputs
from normalgen.cli.show import MARK, note, say, table
from normalgen.errors import DataError
from normalgen.io.progress import progress_bars

if TYPE_CHECKING:
    from torch import Tensor

    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.quality.acceptance import Line

pool_app = typer.Typer(no_args_is_help=True, help="Look at pools.")

LEAST_HELD_OUT = 4


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
    from normalgen.io.atomic import write_json
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import QUALITY, record_folder
    from normalgen.quality.acceptance import lines
    from normalgen.quality.comparison import compare

    pool = Pool.load(folder)
    run = _run(folder)
    size = run["settings"]["size"]
    sets = _sets(pool, size, sample)
    references, held_out = _photos(run, photos, data)
    measures = compare(
        sets, references, held_out, size=size, augment=run["settings"]["augment"], most=sample, seed=seed
    )
    found = lines(measures)
    say(table(["measure", *measures, "bar"], _rows(found)))
    _tell_of_misses(found)
    say(f"{measures['augmented'].images} images of each; the pool kept {len(pool)}, rejected {len(pool.rejected())}")
    path = record_folder(folder) / QUALITY
    misses = {name: {line.measure: line.misses[name] for line in found if name in line.misses} for name in measures}
    write_json(path, {name: asdict(measures[name]) | {"misses": misses[name]} for name in measures})
    say(f"as data: {path}")


def _run(folder: Path) -> dict[str, Any]:
    from normalgen.io.run_folder import read_record
    from normalgen.pool.journal import RUN, record_folder

    path = record_folder(folder) / RUN
    run = read_record(path)
    if run is None:
        raise DataError(f"{path} is missing; the pool's settings are not known")
    return run


def _photos(run: dict[str, Any], photos: Path | None, data: Path | None) -> "tuple[Images, Images | None]":
    """The pool's references, found by SHA-256, and the other normal photos; None if there are too few."""
    from normalgen.data.find import find_category, folder_category

    category = run["settings"]["category"]
    try:
        found = (folder_category(photos, category) if photos else find_category(category, data)).normals
    except DataError:
        if photos:
            raise
        raise DataError(f"where are the photos of {category!r}? Name their folder with --photos") from None
    hashes = found.hashes()
    wanted = run["settings"]["references"]
    missing = [digest for digest in wanted if digest not in hashes]
    if missing:
        raise DataError(
            f"{len(missing)} of the pool's {len(wanted)} references are not among the {len(found)} photos of "
            f"{category}; name their folder with --photos"
        )
    crop = run["settings"]["crop"]
    crop = tuple(crop) if isinstance(crop, list) else crop
    references = found.take([hashes.index(digest) for digest in wanted]).cropped(crop)
    others = found.take([i for i, digest in enumerate(hashes) if digest not in wanted]).cropped(crop)
    if len(others) >= LEAST_HELD_OUT:
        return references, others
    note(
        f"{f'only {len(others)}' if len(others) else 'no'} photos besides the references: what needs photos that the "
        "pool never saw is left out; put more good photos into --photos"
    )
    return references, None


def _sets(pool: "Pool", size: int, sample: int) -> "dict[str, Tensor]":
    """The first `sample` images of each mode that diffusion made."""
    from normalgen.pool.journal import REJECTED, record_folder

    sets = {}
    for mode in ("img2img", "txt2img"):
        places = [i for i, row in enumerate(pool.rows) if row["mode"] == mode][:sample]
        if places:
            sets[mode] = pool.images.take(places).pixels(size).float() / 255
    if not sets:
        judged = len(pool.rejected())
        why = f"; the gate rejected {judged} candidates, see {record_folder(pool.folder) / REJECTED}" if judged else ""
        raise DataError(
            f"{pool.folder} holds augmented photos alone, no image that diffusion made: nothing to compare{why}. "
            "Make one with --plain 0, or with --no-gate to see what diffusion draws"
        )
    return sets


def _rows(found: "list[Line]") -> list[list[str]]:
    def cell(line: "Line", name: str) -> str:
        value = line.values[name]
        text = "-" if value is None else f"{value:.{line.digits}f}"
        return f"{text} {MARK}" if name in line.misses else text

    return [[line.measure, *(cell(line, name) for name in line.values), line.bar] for line in found]


def _tell_of_misses(found: "list[Line]") -> None:
    """In words, what misses its bar."""
    misses = [(name, line, words) for line in found for name, words in line.misses.items()]
    if not misses:
        untaken = sum(value is None for line in found for value in line.values.values())
        return say(f"all measures{' that could be taken' if untaken else ''} are within their bars")
    say(f"{MARK} misses its bar:")
    for name, line, words in misses:
        say(f"  {name}, {line.measure}: {words} (bar: {line.bar})")
    return None
