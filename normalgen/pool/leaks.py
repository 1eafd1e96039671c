"""Leaves out of a pool what is about to be judged: photos that are also queries, and what was made from them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from normalgen.data.queries import Queries
from normalgen.images.copies import COMPARED, Copies, reduced
from normalgen.images.images import Photo
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import REPAIRED, record_folder
from normalgen.pool.repairs import read_repairs
from normalgen.references import References

__all__ = ["without_judged"]


def without_judged(pool: Pool, judged: Sequence[Queries], references: References, watch: Watch = silent) -> Pool:
    """Return the pool without photos that are judged, copies of them, and images that were made from them.

    References that are judged do not count: their labels are not measured. Only a pool with photos is searched.

    Args:
        pool: any pool.
        judged: the photos to judge, and to calibrate with.
        references: what the pool was made from.
        watch: receives the progress of "search pool", per photo in the pool.
    """
    photos = [row for row, made in enumerate(pool.rows) if made["mode"] in ("photo", "repaired")]
    if not photos:
        return pool
    sources = pool.sources(references)
    hashes = {digest for queries in judged for digest in queries.hashes()} - {""}
    leaks = {sources[row] for row in photos} & hashes
    known = Copies(reduced(photo.pixels) for queries in judged for photo in _readable(queries))
    originals = _originals(pool)
    for done, row in enumerate(photos, 1):
        pixels = originals.get(sources[row]) or partial(pool.images.photo, row, COMPARED)
        if sources[row] not in leaks and known.find(reduced(pixels().pixels)) is not None:
            leaks.add(sources[row])
        watch("search pool", done, len(photos))
    leaks -= {*references.images.hashes()}
    return replace(pool, rows=tuple(made for row, made in enumerate(pool.rows) if sources[row] not in leaks))


def _originals(pool: Pool) -> dict[str, Callable[[], Photo]]:
    """Return what reads each repaired photo as it was before, by its SHA-256, where the pool's records have it."""
    repairs = read_repairs(record_folder(pool.folder) / REPAIRED)
    if repairs is None:
        return {}
    return {row["sha256"]: partial(repairs.before.photo, index, COMPARED) for index, row in enumerate(repairs.rows)}


def _readable(queries: Queries) -> Iterator[Photo]:
    """Yield the photos that can be read; judging the others gives the errors."""
    for photos, _ in queries.batches(COMPARED, 1):
        yield from photos
