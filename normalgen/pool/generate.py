"""Fills a pool image by image, alone or as one of several workers; never leaves a partly written file.

On one machine, bytes depend only on settings, references and index. So a resumed run, an enlarged pool, and a pool
drawn by several workers have the same bytes as a pool from one run.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from normalgen.customizing.auto_augment import settled
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.features.open_features import check_features
from normalgen.images.images import Images
from normalgen.io.atomic import RECORDS, write_whole
from normalgen.io.progress import Watch, silent
from normalgen.io.records import write_record
from normalgen.io.run_folder import agree, differing, locked
from normalgen.pool.card import card
from normalgen.pool.dataset import Pool
from normalgen.pool.filling import PoolFilling
from normalgen.pool.journal import (
    CARD,
    DRAWN,
    REPAIRED,
    RUN,
    SCREENING,
    SHEET,
    Ledger,
    discard,
    discard_pool,
    drawn_folder,
    read_run,
    record_folder,
    refuse_other_pool,
)
from normalgen.pool.origin import need_same_photos, need_same_repairs
from normalgen.pool.plan import preset_of
from normalgen.pool.recorded import looked_with, pool_record, pool_settings
from normalgen.pool.repairs import Repairs, sources_of
from normalgen.pool.workers import Shard, Window
from normalgen.references import References
from normalgen.settings.presets import Preset

__all__ = ["check_gate", "check_pool", "draw_shard", "fill_pool", "merge_pool"]


def fill_pool(
    model: NormalModel | Preset,
    references: References,
    n: int,
    folder: Path,
    *,
    seed: int = 0,
    watch: Watch = silent,
    preview: Callable[[], None] = lambda: None,
    overwrite: bool = False,
    photos: Images | None = None,
    repaired: Repairs | None = None,
) -> Pool:
    """Make candidates until the pool in `folder` has `n` images, and return it; existing images stay unchanged.

    With the gate on (`pool.gate`), at most `pool.budget` candidates per image are made, so the pool may stay smaller.

    Args:
        model: customized on the references' category; its preset gives mix, strength, prompts and augmentation. A
            preset alone is enough if its `pool.plain` is 1, because diffusion then makes no images.
        references: the starting points of img2img.
        n: how many images the pool should have, at least 1.
        folder: folder for this pool alone.
        seed: candidate `i` draws from (seed, i).
        watch: receives the progress of "generate", in kept images.
        preview: called after each group of images.
        overwrite: replace a pool in `folder` that has other settings.
        photos: normal photos beyond the references, in the order in which they join the pool, before all other images.
        repaired: repaired photos, which follow them; the gate judges these.

    Raises:
        DataError: n is below 1; the model is of another category or missing; the folder has other settings or is in
            use; or the gate kept no image.
    """
    with _begun(model, references, n, folder, seed, overwrite, photos, repaired) as making:
        return _finished(making, n, watch, preview)


def draw_shard(
    model: NormalModel | Preset,
    references: References,
    n: int,
    folder: Path,
    shard: Shard,
    *,
    seed: int = 0,
    watch: Watch = silent,
    overwrite: bool = False,
    photos: Images | None = None,
    repaired: Repairs | None = None,
) -> Pool | None:
    """Draw one worker's share of the pool in `folder`: every `shard.count`-th group of candidates.

    Candidates are judged in order, so the last worker judges them all. If the gate rejects some, it also draws their
    replacements. On identical machines, the pool has the same bytes as one from `fill_pool`.

    Args:
        model: as for `fill_pool`, and the same for all workers.
        references: as for `fill_pool`.
        n: as for `fill_pool`, and the same for all workers.
        folder: folder for this pool alone, on a disk that all workers share.
        shard: the number of this worker, and how many there are.
        seed: candidate `i` draws from (seed, i).
        watch: receives the progress of "draw" and "generate".
        overwrite: replace a pool in `folder` that has other settings.
        photos: as for `fill_pool`.
        repaired: as for `fill_pool`.

    Returns:
        The pool, if this worker is the last; None while others are drawing.

    Raises:
        DataError: as `fill_pool`; or another process draws this shard, or started another pool in `folder`.
    """
    with ExitStack() as stack:
        with _begun(model, references, n, folder, seed, overwrite, photos, repaired, wait=True) as making:
            window = Window.open(n, shard.count, making)
            stack.enter_context(window.hold(making.drawn, shard))
        window.draw(shard, making, watch)
    with _locked(folder, wait=True):
        _agree(folder, {"settings": making.settings}, look=True)
        if not (record_folder(folder) / RUN).is_file():
            raise DataError(f"{folder} was removed while this worker was drawing; run the same command again")
        if window.is_under_way(making.drawn) and not window.is_drawn(making.drawn):
            return None
        making.ledger = Ledger.open(folder)
        return _finished(making, n, watch)


def merge_pool(folder: Path, *, watch: Watch = silent) -> tuple[Pool, int]:
    """Judge the drawn candidates in order, up to the first missing one; needs no model.

    If no worker is drawing, it ends the workers' round, so that any number of workers can continue.

    Returns:
        The pool so far, possibly empty, and how many images it should have. If it has fewer, run the same commands.

    Raises:
        DataError: no drawn candidates are waiting, the folder is in use, or the gate kept no image in the end.
    """
    nothing = f"{folder} has nothing drawn to merge; draw with normalgen generate --shard first"
    if not (record_folder(folder) / RUN).is_file():
        raise DataError(nothing)
    with _locked(folder):
        refuse_other_pool(folder)
        run, drawn = read_run(folder), _drawn(folder)
        under_way = Window.read(drawn)
        if run is None or under_way is None:
            raise DataError(nothing)
        window, sources = under_way
        preset, photos, repaired = Preset.from_settings(run["preset"]), run.get("photos", []), run.get("repaired", [])
        rows, settings = [*run["references"]["references"], *photos, *repaired], {**run["settings"]}
        _agree(folder, {"settings": looked_with(preset)}, look=True)
        names, hashes = [row["name"] for row in rows], [row["sha256"] for row in rows]
        ledger, shares = Ledger.open(folder), [row["share"] for row in repaired]
        making = PoolFilling(folder, preset, settings, names, hashes, sources, ledger, None, drawn, len(photos), shares)
        making.fill(window.n, watch, lambda: None)
        if window.is_drawn(drawn):
            discard(record_folder(folder), [DRAWN])
        else:
            window.end(drawn)
        making.refuse_empty(window.n)
        return Pool.load(folder) if making.ledger.kept else Pool(folder, ()), window.n


def check_pool(folder: Path, references: References, preset: Preset, seed: int, photos: Images | None = None) -> None:
    """Check before long work that `folder` is free, or holds a pool with the same settings.

    Raises:
        DataError: it is not free, or the folder for its records is not free.
        MissingDependency, MissingWeights, PresetError: the gate cannot look with its features.
    """
    need_same_photos(folder, photos)
    settings = pool_settings(references, preset, seed, photos)
    settings.pop("repaired")  # photos are repaired later
    _agree(folder, {"settings": settings}, look=True)


def check_gate(preset: Preset) -> None:
    """Check before long work that the gate has its features; opens none.

    Raises:
        PresetError: no features have this name.
        MissingDependency: their package is not installed.
    """
    if preset.pool.gate:
        check_features(preset.pool.gate_features)


def _check(model: NormalModel | Preset, references: References, n: int) -> None:
    if n < 1:
        raise DataError(f"n must be at least 1, got {n}")
    if isinstance(model, Preset):
        if model.draws:
            raise DataError(
                f"a preset without a model makes only augmented images, but its pool.plain is {model.pool.plain:g}; "
                "give a model"
            )
    elif model.category != references.category:
        raise DataError(
            f"the model was customized on {model.category!r}, the references are {references.category!r}; "
            "use a model of this category, or leave it out to make one"
        )


@contextmanager
def _begun(
    model: NormalModel | Preset,
    references: References,
    n: int,
    folder: Path,
    seed: int,
    overwrite: bool,
    photos: Images | None,
    repaired: Repairs | None,
    *,
    wait: bool = False,
) -> Iterator[PoolFilling]:
    """Lock `folder`, open or start its ledger, and yield the filling; prompts use the model's noun."""
    _check(model, references, n)
    if isinstance(model, NormalModel):
        references = replace(references, noun=model.noun)
    preset = settled(preset_of(model), references)
    if preset != preset_of(model):
        model = preset if isinstance(model, Preset) else model.using(preset)
    digest = model.digest if isinstance(model, NormalModel) and (preset.draws or repaired) else ""
    settings = pool_settings(references, preset, seed, photos, repaired) | {"model": digest}
    record = record_folder(folder) / RUN
    if not overwrite or not record.is_file():
        need_same_photos(folder, photos)
        need_same_repairs(folder, repaired)
        _agree(folder, {"settings": settings}, look=True)  # before the lock, which makes a folder
    with _locked(folder, wait=wait):
        refuse_other_pool(folder)
        if overwrite and differing(record, settings):
            discard_pool(folder)
            write_record(record, pool_record(settings, model, references, photos, repaired))
        _agree(folder, pool_record(settings, model, references, photos, repaired))
        ledger = Ledger.open(folder)
        if not (folder / CARD).is_file():  # people add to it
            write_whole(folder / CARD, lambda path: _write_text(path, card(settings)))
        names, hashes, sources = sources_of(references, photos, repaired, preset.size)
        count, shares = 0 if photos is None else len(photos), repaired.shares if repaired else ()
        yield PoolFilling(
            folder, preset, settings, names, hashes, sources, ledger, model, _drawn(folder), count, shares
        )


def _finished(making: PoolFilling, n: int, watch: Watch, preview: Callable[[], None] = lambda: None) -> Pool:
    """Fill the pool and return it; the folder must be locked."""
    making.fill(n, watch, preview)
    under_way = Window.read(making.drawn)
    larger = under_way is not None and under_way[0].n > n
    records = record_folder(making.folder)
    if (records / DRAWN).is_dir() and not larger:
        discard(records, [DRAWN])
    making.refuse_empty(n)
    return Pool.load(making.folder)


def _locked(folder: Path, *, wait: bool = False) -> AbstractContextManager[None]:
    """Return the lock of the pool in `folder`."""
    return locked(record_folder(folder), wait=wait, of=folder)


def _agree(folder: Path, record: dict[str, Any], *, look: bool = False) -> None:
    """Record the pool's settings; raises if other settings are recorded or the folders hold other files."""
    if folder.resolve().name.endswith(RECORDS):
        raise DataError(
            f"{folder} cannot be a pool: names that end with {RECORDS} are for a pool's records; choose another name"
        )
    refuse_other_pool(folder)
    agree(record_folder(folder) / RUN, record, look=look, of=folder, ours=(SHEET, SCREENING, REPAIRED))


def _drawn(folder: Path) -> Path:
    """Return the folder where workers put what they draw for the recorded pool in `folder`."""
    run = read_run(folder)
    return drawn_folder(folder, {**run["settings"]} if run else {})


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
