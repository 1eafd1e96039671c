"""What is wrong with a pool on disk: every record and every image, read and compared with its digest."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from normalgen.errors import DataError, PresetError
from normalgen.images.decode import decode
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import METADATA, image_fault, read_kept, read_run

__all__ = ["pool_faults"]


def pool_faults(folder: Path, *, watch: Watch = silent) -> list[str]:
    """Return what is wrong with the pool in `folder`, one sentence per fault; empty if it is whole.

    Reads and decodes every image: about 3 ms each at 256 pixels.

    Args:
        folder: of the pool.
        watch: receives the progress of "check", per image.

    Raises:
        DataError: `folder` holds no pool.
    """
    if not (folder / METADATA).is_file():
        raise DataError(f"{folder} holds no pool ({METADATA}); name the folder of a pool")
    kept = read_kept(folder)
    pool = Pool(folder, tuple(kept.rows), kept.digests)
    faults = [kept.fault or ("" if kept.rows else f"{METADATA} is empty")]
    faults += [_raised(lambda: read_run(folder) and pool.preset()), _raised(pool.gate)]
    for done, (row, item) in enumerate(zip(kept.rows, pool.images.items, strict=True)):
        watch("check", done, len(kept.rows))
        faults.append(_raised(partial(image_fault, folder, row, None)) or _raised(partial(decode, item)))
    watch("check", len(kept.rows), len(kept.rows))
    return [fault for fault in faults if fault]


def _raised(read: Callable[[], object]) -> str:
    """Return the message of the error that `read` raises, or the text that it returns; "" if it does neither."""
    try:
        found = read()
    except (DataError, PresetError) as error:
        return str(error)
    return found if isinstance(found, str) else ""
