import math
import re
import weakref
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
import torch
from PIL import Image

from normalgen.report.detection_page import Pictures, write_page
from normalgen.report.pictures import difference, overlay, triptych
from normalgen.report.shown import Shown
from normalgen.report.spool import Spool

ODD = '<b>"x".png'
FACTS = [("preset", "tiny"), ("photos", "a & b <i>")]


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def shown(rank: int, name: str = "", label: str | None = "good") -> Shown:
    scores = {"p": 0.5 / rank, "text": -0.1}
    name = name or f"photo{rank}.png"
    return Shown(name, 1 / rank, scores, rank, "normal", label)


def broken(name: str = "broken.png") -> Shown:
    return Shown(name, math.nan, {}, 0, "", None, error="cut off & <gone>")


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    with TemporaryFile() as file:
        yield Pictures(Spool(file))


def add(pictures: Pictures, query: Shown, size: tuple[int, int] = (40, 30), *, twin: bool = True) -> None:
    """A query's picture, its twin and its map."""
    photo, anomaly_map = picture(query.rank, size), torch.linspace(0, 1, 64).reshape(8, 8)
    pictures.add_query(query.name, photo, picture(query.rank, (16, 16)) if twin else None)
    pictures.add_map(query.name, overlay(photo, anomaly_map, 0, 1))


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, names of the queries, and tags left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.names: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input"}:
            self.open.append(tag)
        if tag == "h2" and "dialog" not in self.open:
            self.names.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2" and "dialog" not in self.open:
            self.names[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


def page(path: Path, queries: list[Shown], pictures: Pictures, threshold: str = "Above 0.7.") -> Page:
    for query in queries:
        if not query.error and not pictures.of(query.name):
            add(pictures, query)
    write_page(path, queries, pictures, title="nut <1>", facts=FACTS, threshold_text=threshold, scale=(0.0, 1.0))
    return Page(path.read_text(encoding="utf-8"))


def test_the_worst_come_first_errors_last_and_every_query_once(tmp_path: Path, pictures: Pictures) -> None:
    found = page(tmp_path / "report.html", [shown(2), broken(), shown(3), shown(1)], pictures)
    assert found.names == ["photo1.png", "photo2.png", "photo3.png", "broken.png"]
    assert found.open == []
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_page_asks_for_nothing_outside_itself(tmp_path: Path, pictures: Pictures) -> None:
    found = page(tmp_path / "report.html", [shown(1), broken()], pictures)
    assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"base64,[^\"]+", "", found.text))
    assert all((image["src"] or "").startswith("data:image/webp;base64,") for image in found.all("img"))
    assert not [at for tag, at in found.tags if "href" in at or ("src" in at and tag != "img")]
    assert "default-src 'none'" in found.text


def test_pictures_are_three_a_query_small_and_described(tmp_path: Path, pictures: Pictures) -> None:
    add(pictures, shown(1), (900, 600))
    add(pictures, shown(2), twin=False)
    found = page(tmp_path / "report.html", [shown(1), shown(2)], pictures)
    assert [image["alt"] for image in found.all("img")] == [
        "query: photo1.png",
        "normal twin: photo1.png",
        "anomaly map: photo1.png",
        "query: photo2.png",
        "anomaly map: photo2.png",
    ]
    assert len(found.text) < 200_000


def test_names_labels_facts_and_messages_are_escaped(tmp_path: Path, pictures: Pictures) -> None:
    odd = [shown(1, ODD, label='a"<u>'), replace(broken("{{cards}}"), label="x")]
    found = page(tmp_path / "report.html", odd, pictures, threshold="over <s>1</s>")
    assert found.names == [ODD, "{{cards}}"]
    assert not {"b", "u", "s", "gone"} & {tag for tag, _ in found.tags}
    assert [article["data-label"] for article in found.all("article")] == ['a"<u>', "x"]
    assert found.all("img")[0]["alt"] == f"query: {ODD}"
    assert "a &amp; b &lt;i&gt;" in found.text
    assert "cut off &amp; &lt;gone&gt;" in found.text


def test_settings_are_folded_and_what_is_not_given_is_not_there(tmp_path: Path, pictures: Pictures) -> None:
    write_page(
        tmp_path / "r.html",
        [],
        pictures,
        title="",
        facts=FACTS[:1],
        threshold_text="",
        scale=(0, 1),
        settings=[("<k>", "<v>")],
    )
    found = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert found.open == []
    folded = found.text[found.text.index("<details>") : found.text.index("</details>")]
    assert "&lt;k&gt;</dt><dd>&lt;v&gt;" in folded
    assert "tiny" not in folded
    write_page(tmp_path / "bare.html", [], pictures, title="", facts=[], threshold_text="", scale=(0, 1))
    assert not {"details", "dl"} & {tag for tag, _ in Page((tmp_path / "bare.html").read_text()).tags}


def test_pictures_are_let_go_as_they_are_added(pictures: Pictures) -> None:
    seen: list[weakref.ref[Image.Image]] = []
    for rank in range(1, 9):
        photo = picture(rank)
        seen.append(weakref.ref(photo))
        pictures.add_query(f"photo{rank}.png", photo, None)
        del photo
    assert not any(ref() is not None for ref in seen)


def test_a_query_that_fails_leaves_no_page(tmp_path: Path, pictures: Pictures) -> None:
    def queries() -> Iterator[Shown]:
        yield shown(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_page(tmp_path / "r.html", queries(), pictures, title="", facts=[], threshold_text="", scale=(0, 1))
    assert list(tmp_path.iterdir()) == []


def test_filters_are_offered_only_where_they_sort(tmp_path: Path, pictures: Pictures) -> None:
    judged = page(tmp_path / "a.html", [shown(1), broken()], pictures)
    assert [button.get("data-kind") for button in judged.all("button")][:4] == ["", "anomalous", "normal", "error"]
    assert len(judged.all("select")) == 1
    ranked = page(tmp_path / "b.html", [replace(shown(1, label=None), verdict="")], pictures)
    assert [button["data-kind"] for button in ranked.all("button") if "data-kind" in button] == [""]
    assert ranked.all("select") == []


def test_bars_show_what_each_branch_adds_on_one_scale(tmp_path: Path, pictures: Pictures) -> None:
    heavy = replace(shown(1), scores={"p": 2.0, "n": 3.0})
    light = replace(shown(2), scores={"p": -4.0, "n": 1.0})
    path, weights = tmp_path / "report.html", {"p": 0.25, "n": 2.0}
    for query in (heavy, light):
        add(pictures, query)
    write_page(path, [heavy, light], pictures, title="", facts=[], threshold_text="", scale=(0, 1), weights=weights)
    found = Page(path.read_text(encoding="utf-8"))
    bars = [bar["style"] for bar in found.all("i") if (bar.get("style") or "").startswith("margin-left")]
    assert bars == [  # from -1 to 6, so 0 is at a seventh
        "margin-left: 14.3%; width: 7.1%",
        "margin-left: 14.3%; width: 85.7%",
        "margin-left: 0.0%; width: 14.3%",
        "margin-left: 14.3%; width: 28.6%",
    ]
    assert "6 <small>= 3 &times; 2.00</small></span>" in found.text
    assert "what each branch adds, its own score &times; its weight (p 0.25, n 2.00)" in found.text
    assert 'class="key bars"' not in page(tmp_path / "b.html", [broken()], pictures).text


def test_a_notice_stands_above_all_else(tmp_path: Path, pictures: Pictures) -> None:
    path = tmp_path / "report.html"
    write_page(
        path, [], pictures, title="", facts=[], threshold_text="", scale=(0, 1), notice_text="wait <b>a</b> minute"
    )
    text = path.read_text(encoding="utf-8")
    assert text.index("wait &lt;b&gt;a&lt;/b&gt; minute") < text.index("<header")


def test_without_scores_there_is_no_histogram(tmp_path: Path, pictures: Pictures) -> None:
    assert page(tmp_path / "a.html", [broken()], pictures).all("rect") == []
    assert page(tmp_path / "b.html", [], pictures).names == []
    assert len(page(tmp_path / "c.html", [shown(1), shown(1)], pictures).all("rect")) == 1


def test_the_histogram_holds_every_score_in_its_label_s_colour(tmp_path: Path, pictures: Pictures) -> None:
    found = page(tmp_path / "report.html", [shown(1, label="scratch"), shown(2), shown(4), shown(4)], pictures)
    assert [bar["class"] for bar in found.all("rect")] == ["c0", "c0", "c1"]
    heights = [float(bar["height"] or 0) for bar in found.all("rect")]
    assert heights == [54, 27, 27]


def test_an_overlay_keeps_the_native_size_and_leaves_low_places_untouched() -> None:
    grey = Image.new("RGB", (50, 30), (90, 90, 90))
    anomaly_map = torch.zeros(3, 5)
    anomaly_map[:, 4] = 2.0
    over = np.asarray(overlay(grey, anomaly_map, 0.5, 1.5))
    assert over.shape == (30, 50, 3)
    assert (over[:, :30] == 90).all()
    assert over[15, 49, 0] > 200
    assert over[15, 49, 0] > over[15, 49, 2]


def test_an_overlay_hides_more_the_higher_the_value() -> None:
    black, white = (Image.new("RGB", (8, 1), colour) for colour in ("black", "white"))
    values = torch.linspace(0, 1, 8)[None]
    over = [np.asarray(overlay(each, values, 0, 1)).astype(int) for each in (black, white)]
    visible = (over[1] - over[0])[0, :, 0]
    assert visible[0] == 255
    assert (np.diff(visible) < 0).all()
    assert visible[-1] > 0


@pytest.mark.parametrize("value", [float("nan"), -1.0, 0.3])
def test_a_map_without_anything_above_low_shows_the_photo(value: float) -> None:
    grey = Image.new("RGB", (9, 7), (20, 20, 20))
    assert overlay(grey, torch.full((2, 2), value), 0.3, 0.3).tobytes() == grey.tobytes()


def test_a_difference_is_grey_enlarged_and_of_the_query_s_size() -> None:
    query, twin = Image.new("RGB", (40, 30), (100, 100, 100)), Image.new("RGB", (16, 16), (90, 90, 90))
    apart = difference(query, twin)
    assert (apart.size, apart.getpixel((20, 15))) == ((40, 30), (30, 30, 30))
    assert difference(query, query).getextrema() == ((0, 0), (0, 0), (0, 0))
    assert difference(query, Image.new("RGB", (40, 30))).getpixel((0, 0)) == (255, 255, 255)


def test_a_triptych_shows_three_pictures_of_bounded_size() -> None:
    drawn = triptych(picture(1, (1200, 300)), picture(2, (64, 64)))
    assert drawn.size == (3 * 512 + 4 * 8, 128 + 38)
