"""Leaves out of a pool what is about to be judged: photos that are also queries, and what was made from them."""

from dataclasses import replace

from normalgen.data.queries import Queries
from normalgen.errors import DataError
from normalgen.images.copies import COMPARED, Copies, reduced
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["without_judged"]


def without_judged(pool: Pool, queries: Queries, references: References, watch: Watch = silent) -> Pool:
    """Return the pool without photos that are judged, copies of them, and images that were made from them.

    References that are judged do not count: their labels are not measured. Only a pool with photos is searched.

    Args:
        pool: any pool.
        queries: the photos to judge.
        references: what the pool was made from.
        watch: receives the progress of "search pool", per photo in the pool.
    """
    photos = [row for row, made in enumerate(pool.rows) if made["mode"] == "photo"]
    if not photos:
        return pool
    sources, hashes = pool.sources(references), {*queries.hashes()} - {""}
    judged = {sources[row] for row in photos} & hashes
    known = Copies()
    for index in range(len(queries.images)):
        try:
            known.add(reduced(queries.images.photo(index, COMPARED).pixels))
        except DataError:  # judging it gives the error
            continue
    for done, row in enumerate(photos, 1):
        if sources[row] not in judged and known.find(reduced(pool.images.photo(row, COMPARED).pixels)) is not None:
            judged.add(sources[row])
        watch("search pool", done, len(photos))
    judged -= {*references.images.hashes()}
    return replace(pool, rows=tuple(made for row, made in enumerate(pool.rows) if sources[row] not in judged))
