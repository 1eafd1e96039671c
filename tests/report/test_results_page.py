import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from result_cells import cell, folder

from normalgen.cli import main
from normalgen.evaluation.cells import FAILING, frame, load_cells
from normalgen.evaluation.figures import COLOURS, LOOKS, every_figure
from normalgen.evaluation.studies import ARMS as NAMES
from normalgen.evaluation.tables import every_table
from normalgen.report.results_files import write_results
from normalgen.report.results_page import command, page

if TYPE_CHECKING:
    from pandas import DataFrame

STYLES = Path(__file__).parents[2] / "normalgen" / "report" / "page.css"
ARMS = {"none": 0.6, "augmented": 0.62, "generated": 0.65, "real:4": 0.7, "real:16": 0.8, "generated:4": 0.61}


def some(**which: object) -> list[dict[str, Any]]:
    return [
        cell(value + 0.01 * k + 0.001 * seed, arm=arm, k=k, seed=seed, **which)
        for arm, value in ARMS.items()
        for k in (2, 4)
        for seed in (0, 1, 2)
    ]


def cells(**which: object) -> "DataFrame":
    return frame(some(**which))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["results", *words])
    return int(end.value.code or 0)


class Page(HTMLParser):
    """Tags with their attributes; every one that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name]


def shown(found: "DataFrame") -> str:
    return page("nut <1>", found, every_table(found), every_figure(found))


def test_each_detector_gets_the_figures_that_its_cells_allow() -> None:
    names = [drawing.name for drawing in every_figure(cells(detector="one-to-normal"))]
    assert names == ["auroc_over_k-one-to-normal", "gains-one-to-normal", "auroc_over_size-one-to-normal"]
    assert every_figure(frame([cell(0.5)])) == []


def test_a_figure_is_whole_svg_without_date_or_address_and_always_the_same() -> None:
    first, again = every_figure(cells()), every_figure(cells())
    assert [drawing.svg for drawing in first] == [drawing.svg for drawing in again]
    for drawing in first:
        assert ElementTree.fromstring(drawing.svg).tag.endswith("svg")
        assert "<metadata>" not in drawing.svg
        assert re.search("generated|real", drawing.svg)


def test_every_arm_that_is_drawn_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == {name for name in NAMES if not name.startswith("unlabeled")}
    assert len(set(LOOKS.values())) == len(LOOKS)
    assert {colour for colour, _ in LOOKS.values()} <= set(COLOURS)
    assert set(FAILING) < set(NAMES)


def test_the_paper_s_numbers_are_marked_in_the_figure() -> None:
    ours, others = (every_figure(cells(detector=name))[0].svg for name in ("one-to-normal", "memory"))
    assert "published, not re-run" in ours
    assert "published, not re-run" not in others


def test_the_figures_colours_are_those_of_the_page_s_light_theme() -> None:
    light = dict(re.findall(r"--(\w+): (#\w+)", STYLES.read_text().split("@media")[0]))
    light["card"] = "#ffffff"
    assert {name: light[name] for name in COLOURS} == COLOURS


def test_the_page_asks_for_nothing_outside_itself_and_closes_what_it_opens() -> None:
    text = shown(cells())
    found = Page(text)
    assert found.open == []
    assert not re.search(r"https?:|//\w|@import|url\((?!#)", text)
    assert not found.all("src")
    assert all(address.startswith("#") for address in [*found.all("href"), *found.all("xlink:href")])
    assert "default-src 'none'" in text


def test_every_link_of_the_page_leads_to_one_place() -> None:
    found = Page(shown(cells()))
    names = found.all("id")
    assert len(names) == len(set(names))
    targets = [address[1:] for address in [*found.all("href"), *found.all("xlink:href")]]
    targets += [name for value in found.all("clip-path") for name in re.findall(r"url\(#(.*)\)", value)]
    assert set(targets) <= set(names)


def test_the_page_s_figures_take_the_page_s_colours() -> None:
    figures = re.findall(r"<svg.*?</svg>", shown(cells()), flags=re.DOTALL)
    assert len(figures) == 3
    assert all(f"var(--{name})" in "".join(figures) for name in ("ink", "card", "c1", "c2"))
    assert not any(colour in figure for figure in figures for colour in COLOURS.values())


def test_the_page_escapes_names_and_says_what_was_run() -> None:
    text = shown(frame([cell(0.5, dataset="a<b>", category="c", role="tuning", detector="x")]))
    assert "a&lt;b&gt; (tuning)" in text
    assert "<title>nut &lt;1&gt;</title>" in text
    assert "preset.size" in text
    assert "version.normalgen" in text


def test_the_command_of_the_page_measures_the_same_cells() -> None:
    found = command(frame([cell(0.5, k=k, detector="m[a=1]") for k in (2, 4)]))
    assert found == ("normalgen evaluate --dataset elpv --detectors 'm[a=1]' --arms none --shots 2,4 --seeds 1 -n 32")
    fewer = cell(0.5)
    fewer["settings"].update(tests=40, preset={"name": "sd15", "train": {"steps": 5}})
    assert command(frame([fewer])).endswith("--seeds 1 -n 32 --tests 40 --preset sd15 --training-steps 5")
    fewer["settings"]["preset"] = {"name": "tiny", "training_steps": 5}  # as older cells have it
    assert command(frame([fewer])).endswith("--seeds 1 -n 32 --tests 40")


def test_the_same_cells_give_the_same_bytes(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [*some(), *some(dataset="mvtec", category="screw", role="tuning")]))
    written_files = [write_results(found, tmp_path / name, ("md", "csv", "html")) for name in ("a", "b")]
    assert [path.name for path in written_files[0]] == [
        *("results.md", "results.csv"),
        *(f"{kind}-memory.svg" for kind in ("auroc_over_k", "gains", "auroc_over_size")),
        "results.html",
    ]
    for first, again in zip(*written_files, strict=True):
        assert first.read_bytes() == again.read_bytes()
    text = written_files[0][0].read_text()
    assert "| mvtec (tuning) | 2 |" in text
    assert "![memory: gains by arm](figures/gains-memory.svg)" in text


def test_results_shows_the_main_tables_and_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(folder(tmp_path, some(detector="one-to-normal", role="tuning")))) == 0
    seen = capsys.readouterr()
    for words in ("Image AUROC", "elpv (tuning)", "What the pool gains", "generated - augmented", "+3.0 [+3.0, +3.0]"):
        assert words in seen.out
    assert "they support no claim" in seen.err
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cells", "figures", "results.md", "results.csv", "results.html"}


def test_results_writes_what_is_asked_for_where_it_is_asked_for(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", some())
    assert run(str(source), "--out", str(tmp_path / "out"), "--format", "csv") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.csv"]
    assert [path.name for path in source.iterdir()] == ["cells"]


def test_no_cells_or_an_unknown_format_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path)) == 1
    assert "Name the folder that normalgen evaluate wrote" in capsys.readouterr().err
    assert run(str(tmp_path), "--format", "pdf") == 1
    assert "--format takes any of md, csv, html, comma-separated, got 'pdf'" in capsys.readouterr().err


def test_detectors_of_one_module_have_figures_of_their_own() -> None:
    found = frame([*some(detector="pkg.mod:A"), *some(detector="pkg.mod:B")])
    names = [drawing.name for drawing in every_figure(found)]
    assert len(names) == len(set(names)) > 2
