"""The page of a detection run: one HTML file, worst query first, that needs nothing but itself."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from normalgen.images.images import sized, thumbnail
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
from normalgen.report.shown import Shown
from normalgen.report.spool import Span, Spool

__all__ = ["Pictures", "write_page"]

WIDEST, QUALITIES, LARGEST = 320, (80, 55, 30), 18_000
HERE = Path(__file__).parent


class Pictures:
    """The pictures of the queries, at most 320 pixels wide and high, which wait in a spool for the page.

    Args:
        spool: where they wait.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._spans: dict[str, list[tuple[str, Span]]] = {}

    def add_query(self, name: str, query: Image.Image, twin: Image.Image | None) -> None:
        """Take the query called `name`, RGB, and its twin, RGB of any proportions, where there is one.

        The twin, made from the query squashed to a square, takes the query's proportions.
        """
        shown = thumbnail(query, WIDEST)
        self._put(name, "query", shown)
        if twin is not None:
            self._put(name, "normal twin", sized(twin, shown.size))

    def add_map(self, name: str, overlay: Image.Image) -> None:
        """Take the anomaly map over the query called `name`."""
        self._put(name, "anomaly map", thumbnail(overlay, WIDEST))

    def of(self, name: str) -> list[tuple[str, str]]:
        """The caption and the `src` of each picture of the query called `name`, in the order they came."""
        return [(caption, self._spool.get(span).decode("ascii")) for caption, span in self._spans.get(name, [])]

    def _put(self, name: str, caption: str, picture: Image.Image) -> None:
        self._spans.setdefault(name, []).append((caption, self._spool.put(_encoded(picture))))


def write_page(
    path: Path,
    shown: Iterable[Shown],
    pictures: Pictures,
    *,
    title: str,
    facts: list[tuple[str, str]],
    threshold_text: str,
    scale: tuple[float, float],
    settings: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page, whole or not at all.

    200 queries make a page of 2 to 16 MB.

    Args:
        path: of the page, such as `report.html`.
        shown: the queries, in any order; those with an error come last.
        pictures: of the queries, by their names.
        title: of the page.
        facts: what is seen at once, as name and value.
        threshold_text: a sentence on how "anomalous" was decided, or why only a ranking is shown.
        scale: lowest and highest value of the maps' colours, for all queries.
        settings: what unfolds on demand, as name and value.
    """
    queries = sorted(shown, key=lambda query: (bool(query.error), query.rank, query.name))
    run = PageSummary(queries)
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
    cards = (card(query, pictures.of(query.name), run) for query in queries)
    write_whole(path, lambda partial: _write(partial, values, cards))


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


def _encoded(picture: Image.Image) -> bytes:
    """A WebP as the `src` of an image; a coarser one where it would be large, as noise is."""
    for quality in QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, format="webp", quality=quality, method=3)
        if buffer.tell() <= LARGEST:
            break
    return b"data:image/webp;base64," + b64encode(buffer.getvalue())
