"""The page of a detection run: one HTML file, worst query first, that needs nothing but itself."""

import re
import tempfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image

from normalgen.io.atomic import write_whole
from normalgen.report.page_parts import (
    PageSummary,
    card,
    controls,
    facts_list,
    histogram,
    key,
    settings_list,
    threshold,
)
from normalgen.report.pictures import overlay, sized, thumbnail
from normalgen.report.shown import Shown

__all__ = ["write_page"]

WIDEST, QUALITIES, LARGEST = 320, (80, 55, 30), 18_000
CAPTIONS = ("query", "normal twin", "anomaly map")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class _Kept:
    """A query without its pictures: these lie in the spool, each a caption, a place and a length."""

    shown: Shown
    pictures: list[tuple[str, int, int]]


def write_page(
    path: Path,
    shown: Iterable[Shown],
    *,
    title: str,
    facts: list[tuple[str, str]],
    threshold_text: str,
    scale: tuple[float, float],
    settings: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page, whole or not at all.

    The queries are read once, one at a time, in any order; their pictures, at most 320 pixels wide and high, wait in
    a temporary file until the worst is known. 200 queries make a page of 2 to 16 MB.

    Args:
        path: of the page, such as `report.html`.
        shown: the queries; those with an error come last.
        title: of the page.
        facts: what is seen at once, as name and value.
        threshold_text: a sentence on how "anomalous" was decided, or why only a ranking is shown.
        scale: lowest and highest value of the maps' colours, for all queries.
        settings: what unfolds on demand, as name and value.
    """
    with tempfile.TemporaryFile() as spool:
        kept = [_keep(each, spool, scale) for each in shown]
        kept.sort(key=lambda each: (bool(each.shown.error), each.shown.rank, each.shown.name))
        run = PageSummary([each.shown for each in kept])
        values = {
            "title": escape(title),
            "style": _template("page.css"),
            "script": _template("page.js"),
            "facts": facts_list(facts),
            "settings": settings_list(settings),
            "threshold": threshold(threshold_text),
            "key": key(scale),
            "controls": controls(run),
            "histogram": histogram(run),
        }
        write_whole(path, lambda partial: _write(partial, values, _cards(kept, run, spool)))


def _write(path: Path, values: dict[str, str], cards: Iterator[str]) -> None:
    parts = re.split(r"\{\{(\w+)\}\}", _template("page.html"))
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        for place, part in enumerate(parts):
            if place % 2 == 0:
                file.write(part)
            elif part == "cards":
                file.writelines(cards)
            else:
                file.write(values[part])


def _template(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _keep(shown: Shown, spool: IO[bytes], scale: tuple[float, float]) -> _Kept:
    """Put the pictures of one query into the spool, and the rest aside."""
    pictures = []
    for caption, picture in zip(CAPTIONS, _pictures(shown, scale), strict=True):
        if picture is not None:
            data = _encoded(picture)
            pictures.append((caption, spool.tell(), len(data)))
            spool.write(data)
    return _Kept(replace(shown, query=None, twin=None, anomaly_map=None), pictures)


def _pictures(shown: Shown, scale: tuple[float, float]) -> list[Image.Image | None]:
    """Query, twin and overlay at the query's proportions: the twin was made from it squashed to a square."""
    if shown.query is None:
        return [None, None, None]
    query = thumbnail(shown.query, WIDEST)
    twin = None if shown.twin is None else sized(shown.twin, query.size)
    return [query, twin, None if shown.anomaly_map is None else overlay(query, shown.anomaly_map, *scale)]


def _encoded(picture: Image.Image) -> bytes:
    """A WebP as the `src` of an image; a coarser one where it would be large, as noise is."""
    for quality in QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, format="webp", quality=quality, method=3)
        if buffer.tell() <= LARGEST:
            break
    return b"data:image/webp;base64," + b64encode(buffer.getvalue())


def _cards(kept: list[_Kept], run: PageSummary, spool: IO[bytes]) -> Iterator[str]:
    for each in kept:
        pictures = [(caption, _read(spool, start, length)) for caption, start, length in each.pictures]
        yield card(each.shown, pictures, run)


def _read(spool: IO[bytes], start: int, length: int) -> str:
    spool.seek(start)
    return spool.read(length).decode("ascii")
