"""The page of a detection run: one self-contained HTML file, worst query first."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from normalgen.images.images import sized, thumbnail
from normalgen.io.atomic import write_whole
from normalgen.report.page_parts import (
    PageSummary,
    bars_key,
    card,
    controls,
    facts_list,
    histogram,
    key,
    notice,
    settings_list,
    threshold,
)
from normalgen.report.shown import Shown
from normalgen.report.spool import Span, Spool

__all__ = ["Pictures", "write_page"]

WIDEST, QUALITIES, LARGEST = 320, (80, 55, 30), 18_000
HERE = Path(__file__).parent


class Pictures:
    """Keeps the pictures of the queries, at most 320 pixels wide and high, until the page is written.

    Args:
        spool: stores the pictures.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._spans: dict[str, list[tuple[str, Span]]] = {}

    def add_query(self, name: str, query: Image.Image, twin: Image.Image | None, caption: str = "query") -> None:
        """Add the query `name`, RGB, under `caption`, and its twin, if any, RGB of any proportions.

        The twin, made from the query squashed to a square, is resized to the query's proportions.
        """
        picture = thumbnail(query, WIDEST)
        self._put(name, caption, picture)
        if twin is not None:
            self._put(name, "normal twin", sized(twin, picture.size))

    def add_map(self, name: str, overlay: Image.Image) -> None:
        """Add the anomaly map drawn over the query `name`."""
        self._put(name, "anomaly map", thumbnail(overlay, WIDEST))

    def of(self, name: str) -> list[tuple[str, str]]:
        """Return the caption and the `src` of each picture of the query `name`, in the order they were added."""
        return [(caption, self._spool.get(span).decode("ascii")) for caption, span in self._spans.get(name, [])]

    def _put(self, name: str, caption: str, picture: Image.Image) -> None:
        self._spans.setdefault(name, []).append((caption, self._spool.put(_encoded(picture))))


def write_page(
    path: Path,
    queries: Iterable[Shown],
    pictures: Pictures,
    *,
    title: str,
    facts: list[tuple[str, str]],
    threshold_text: str,
    scale: tuple[float, float],
    settings: Sequence[tuple[str, str]] = (),
    notice_text: str = "",
    weights: Mapping[str, float] | None = None,
) -> None:
    """Write the page, completely or not at all.

    200 queries make a page of 2 to 16 MB.

    Args:
        path: the page's file, such as `report.html`.
        queries: in any order; the page puts queries with an error last.
        pictures: pictures of the queries, by name.
        title: title of the page.
        facts: name and value of each fact that is always visible.
        threshold_text: a sentence on how "anomalous" was decided, or why only a ranking is shown.
        scale: lowest and highest value of the maps' colours, for all queries.
        settings: name and value of each setting, folded away.
        notice_text: a sentence above all else, such as that better results follow; "" for none.
        weights: of each branch in the score; 1 if it is not named.
    """
    ranked = sorted(queries, key=lambda query: (bool(query.error), query.rank, query.name))
    run = PageSummary(ranked, weights or {})
    values = {
        "title": escape(title),
        "style": _template("page.css"),
        "script": _template("page.js"),
        "facts": facts_list(facts),
        "settings": settings_list(settings),
        "notice": notice(notice_text),
        "bars": bars_key(run),
        "threshold": threshold(threshold_text),
        "key": key(scale),
        "controls": controls(run),
        "histogram": histogram(run),
    }
    cards = (card(query, pictures.of(query.name), run) for query in ranked)
    write_whole(path, lambda partial: _write(partial, values, cards))


def _write(path: Path, values: dict[str, str], cards: Iterator[str]) -> None:
    parts = re.split(r"\{\{(\w+)\}\}", _template("page.html"))
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        for index, part in enumerate(parts):
            if index % 2 == 0:
                file.write(part)
            elif part == "cards":
                file.writelines(cards)
            else:
                file.write(values[part])


def _template(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _encoded(picture: Image.Image) -> bytes:
    """Return the picture as a WebP data URL; a large one, such as noise, gets a lower quality."""
    for quality in QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, format="webp", quality=quality, method=3)
        if buffer.tell() <= LARGEST:
            break
    return b"data:image/webp;base64," + b64encode(buffer.getvalue())
