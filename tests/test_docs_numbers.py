"""The tables that people read say what the committed cells say, and those are what the documents' commands make."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from normalgen.evaluation.cells import load_cells, optional
from normalgen.evaluation.statistics import AUROC, means
from normalgen.evaluation.table_format import percent

if TYPE_CHECKING:
    from pandas import DataFrame

ROOT = Path(__file__).parent.parent
SETS = {"BrainMRI": "brain-mri", "ELPV": "elpv", "mvtec/screw": "mvtec"}
ARMS = {
    "none": "none",
    "rotated": "rotations",
    "augmented": "augmented",
    "generated": "generated",
    "augmented and generated": "both",
    "32 more real photos": "real",
}
BRANCHES = {"S_P": "p", "S_N": "n", "fused": "fused"}
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def cells() -> "DataFrame":
    """The committed ones; of a set in several folders those of the first."""
    folders = {name: load_cells(ROOT / "docs/results" / name) for name in ("protocol", "classes", "evaluation")}
    every = optional("pandas").concat([found.assign(folder=name) for name, found in folders.items()])
    return every[every.folder == every.groupby("dataset").folder.transform("first")]


def by_group(cells: "DataFrame", value: str = AUROC) -> dict[tuple[object, ...], Any]:
    """Means by data set, role, k, detector and arm."""
    return {(row.dataset, row.role, row.k, row.detector, row.arm): row for row in means(cells, value).itertuples()}


def tables(document: str, *heads: str) -> Rows:
    """The rows of all tables that have these columns."""
    rows: Rows = []
    for block in re.findall(r"(?:^\|.*\n)+", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE):
        lines = [[text.strip() for text in line.strip("|").split("|")] for line in block.splitlines()]
        if set(heads) <= set(lines[0]):
            rows += [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    return rows


def place(row: dict[str, str]) -> tuple[str, str]:
    """Data set and role of a row."""
    name = row["set"].removesuffix(" (tuning)")
    return SETS.get(name, name), "tuning" if name != row["set"] else "reporting"


def shown(mean: Any, like: str) -> str:
    """A mean as the document writes it, with or without its spread."""
    assert mean is not None
    text = percent(mean).removesuffix(" *")
    return text if "±" in like else text.partition(" ")[0]


@pytest.mark.parametrize(
    ("document", "detector", "least"),
    [("docs/results.md", "memory", 90), ("docs/results.md", "one-to-normal", 60), ("README.md", "memory", 30)],
)
def test_the_arms_are_as_measured(document: str, detector: str, least: int, cells: "DataFrame") -> None:
    found = by_group(cells)
    compared = 0
    for row in tables(document, "set", "shots", "none", "generated"):
        if row.get("detector", "memory") != detector:
            continue
        dataset, role = place(row)
        for head, arm in ARMS.items():
            if row.get(head, "-") != "-":
                mean = found.get((dataset, role, int(row["shots"]), detector, arm))
                assert row[head] == shown(mean, row[head]), (document, row["set"], row["shots"], arm)
                compared += 1
    assert compared >= least


def test_pools_of_all_sizes_are_as_measured() -> None:
    found = by_group(load_cells(ROOT / "docs/results/pool-size"))
    rows = tables("docs/results.md", "images that join", "generated")
    for row in rows:
        size = int(row["images that join"])
        for head, kind in (("augmented", "augmented"), ("generated", "generated"), ("more real photos", "real")):
            mean = found.get(("brain-mri", "reporting", 4, "memory", f"{kind}:{size}" if size else "none"))
            assert row[head] == shown(mean, row[head]), (size, head)
        gained = tables("docs/results/pool-size/results.md", "images", "generated - augmented")
        found_gains = {each["images"]: each["generated - augmented"] for each in gained}
        assert row["generated - augmented"] == found_gains.get(str(size), "")
    assert len(rows) == 6


def test_what_unlabeled_photos_gain_is_as_measured() -> None:
    heads = ("detector", "unlabeled photos", "data set", "unlabeled - augmented")
    rows = tables("docs/results.md", *heads)
    folders = ("unlabeled-24", "unlabeled-100", "published")
    measured = [row for name in folders for row in tables(f"docs/results/{name}/results.md", *heads)]
    for row in rows:
        told = {head: text for head, text in row.items() if text != "-"}
        assert any(told.items() <= known.items() for known in measured), row
    assert len(rows) >= 30


def test_the_branches_are_as_measured(cells: "DataFrame") -> None:
    rows = tables("docs/detection.md", "set", "shots", "seeds", "S_P", "S_N")
    for row in rows:
        dataset, role = place(row)
        for head, name in BRANCHES.items():
            mean = by_group(cells, f"branches.{name}")[dataset, role, int(row["shots"]), "one-to-normal", "none"]
            assert row[head] == shown(mean, row[head]), (row["set"], row["shots"], head)
            assert int(row["seeds"]) == mean.seeds
    assert len(rows) >= 12


def test_the_settings_are_as_measured(cells: "DataFrame") -> None:
    rows = tables("docs/detection.md", "setting", "set", "seeds", "S_P")
    for row in rows:
        dataset, role = place(row)
        few = cells[cells.seed < int(row["seeds"])]
        for head in ("S_P", "fused"):
            mean = by_group(few, f"branches.{BRANCHES[head]}").get((dataset, role, 4, row["setting"], "none"))
            assert row[head] == shown(mean, row[head]), (row["setting"], row["set"], head)
    assert len(rows) >= 10


def test_rows_that_name_their_cells_are_those_of_the_committed_tables() -> None:
    rows = tables("docs/results.md", "cells")
    for row in rows:
        folder = row.pop("cells")
        known = tables(f"docs/results/{folder}/results.md", *row)
        assert row in [{head: each[head] for head in row} for each in known], (folder, row)
    assert len(rows) >= 17


def test_the_gain_in_the_first_lines_of_the_readme_is_as_measured() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(
        r"\*\*([\d.]+)\*\* points over\s+plain.*?images ([\d.]+), solar cells\s+([\d.]+)", readme, re.DOTALL
    )
    assert said
    rows = tables("docs/results.md", "unlabeled photos", "unlabeled - augmented")
    gains = {
        row["data set"]: row["unlabeled - augmented"].split()[0]
        for row in rows
        if (row["detector"], row["unlabeled photos"]) == ("memory", "24@0.1")
    }
    assert [f"+{number}" for number in said.groups()] == [
        gains[name] for name in ("all reporting sets", "brain-mri", "elpv-mono")
    ]
    assert gains["elpv-poly"] == gains["elpv-mono"]


def test_what_unlabeled_photos_gain_for_published_detectors_is_as_measured() -> None:
    cells = load_cells(ROOT / "docs/results/published")
    by_arm = {arm: 100 * cells[cells.arm == arm][AUROC].mean() for arm in sorted(set(cells.arm))}
    gain = by_arm["unlabeled:24@0.1"] - by_arm["augmented:24@0.1"]
    assert {*cells.detector} == {"patchcore", "padim", "anomalydino", "subspacead"}
    for document in ("README.md", "docs/results.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        said = re.search(r"(?:SubspaceAD by|augmented is) \*\*\+?([\d.]+)\*\*", text)
        assert said
        assert said[1] == f"{gain:.1f}"


def test_the_default_features_are_as_measured() -> None:
    found = by_group(load_cells(ROOT / "docs/results/embedded"))
    rows = tables("docs/results.md", "default features", "2 shots")
    for row in rows:
        detector = {"One-to-Normal": "one-to-normal[branches=n]", "memory": "memory"}[row["default features"]]
        for k in (2, 4, 8):
            mean = found[SETS[row["set"]], "reporting", k, detector, "none"]
            assert row[f"{k} shots"] == shown(mean, row[f"{k} shots"])
    assert len(rows) == 4
    headline = re.search(r"image AUROC is\s+\*\*([\d.]+)\*\*", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert headline
    assert headline[1] == shown(found["elpv", "reporting", 4, "one-to-normal[branches=n]", "none"], "")
