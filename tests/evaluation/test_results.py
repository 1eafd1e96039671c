import csv
import json
import re
import subprocess
import sys
from io import StringIO
from math import isnan
from pathlib import Path
from unittest.mock import ANY

import pytest
from result_cells import cell, folder, named, two_arms

from normalgen.cli import main
from normalgen.errors import DataError, MissingDependency
from normalgen.evaluation.cells import arm_rank, frame, load_cells, optional, plain, sized
from normalgen.evaluation.paper_numbers import PUBLISHED, published, published_name
from normalgen.evaluation.statistics import means
from normalgen.evaluation.table_format import as_csv, as_markdown, escaped
from normalgen.evaluation.tables import every_table, main_tables


def test_results_need_no_torch() -> None:
    heavy = {"torch", "sklearn", "skimage", "datasets"}
    code = f"import sys, normalgen.report.results_files; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_cells_are_read_from_any_depth_in_order(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [cell(0.9, seed=1), cell(0.8, seed=0), cell(0.7, dataset="a")]))
    assert list(found.dataset) == ["a", "elpv", "elpv"]
    assert found.iloc[1].to_dict() == frame([cell(0.8, seed=0)]).iloc[0].to_dict() | {"pixel_auroc": ANY, "aupro": ANY}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('{"cell": {"data', "is damaged"),
        ("[]", "should be an object"),
        ("{}", "cell: Field required"),
        (json.dumps(cell(1.5)), r"metrics\.image_auroc\S*: Input should be less than or equal to 1"),
        (json.dumps(cell(float("nan"))), "Out of range float values"),
        (json.dumps(cell(0.5, k="2")), r"cell\.k: Input should be a valid integer"),
        (json.dumps(cell(0.5, arm="real:many", extra=1)), "got 'real:many'"),
        (json.dumps(cell(1 + 1e-8)), r"metrics\.image_auroc\S*: Input should be less than or equal to 1"),
        (json.dumps(cell(0.5, detector="a[b")), r"got 'a\[b'"),
        (json.dumps(cell(0.5, detector="a[b]c")), r"got 'a\[b\]c'"),
        (json.dumps(cell(0.5, detector="a[]")), r"got 'a\[\]'"),
        (json.dumps(cell(0.5, role="other")), "role: Input should be 'reporting' or 'tuning'"),
    ],
)
def test_a_damaged_cell_is_named(tmp_path: Path, broken: str, words: str) -> None:
    folder(tmp_path, [cell(0.9)])
    (tmp_path / "cells" / "half.json").write_text(broken)
    with pytest.raises(DataError, match=rf"half\.json.*{words}"):
        load_cells(tmp_path)


def test_rates_that_rounding_put_outside_are_taken_as_the_end(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [cell(v, seed=s) for s, v in enumerate((1.0000000000000004, -1e-12))]))
    assert list(found.image_auroc) == [1.0, 0.0]


def test_a_detector_s_settings_are_all_between_the_first_and_the_last_bracket(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [cell(0.5, detector='x[scales=[1,2],how={"a":[]}]')]))
    assert (found.method[0], found.setting[0]) == ("x", 'scales=[1,2],how={"a":[]}')


def test_no_cells_and_the_same_cell_twice_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="normalgen evaluate"):
        load_cells(tmp_path)
    with pytest.raises(DataError, match=r"1\.json and .*0\.json are the same cell"):
        load_cells(folder(tmp_path, [cell(0.9), cell(0.8)]))


def test_arms_are_known_by_kind_and_size_and_sorted_as_people_compare_them() -> None:
    found = frame([cell(0.5), cell(0.5, arm="real:8"), cell(0.5, arm="real:16"), cell(0.5, arm="wrong:8")])
    assert [*zip(found.arm_kind, found.arm_size, strict=True)] == [("none", 0), ("real", 8), ("real", 16), ("wrong", 8)]
    assert list(sized(found).arm) == ["real:8", "real:16"]
    assert sorted(["wrong", "real:16", "real:8", "none", "generated"], key=arm_rank) == [
        *("none", "generated", "real:8", "real:16", "wrong"),
    ]


def test_bracketed_detectors_are_plain_only_where_their_default_is_missing() -> None:
    cells = frame([cell(0.5, detector=name) for name in ("a", "a[x=1]", "b[x=1]")])
    assert list(plain(cells).detector) == ["a", "b[x=1]"]
    assert (cells.method[1], cells.setting[1]) == ("a", "x=1")


def test_a_mean_is_over_categories_first_and_its_spread_over_seeds() -> None:
    cells = [cell(v, seed=s, category=c) for s, c, v in [(0, "a", 0.8), (0, "b", 0.6), (1, "a", 1.0), (1, "b", 0.8)]]
    found = means(frame(cells)).iloc[0]
    assert found.value == pytest.approx(0.8)
    assert found.spread == pytest.approx(0.2 / 2**0.5)
    assert (found.seeds, found["count"], found.complete) == (2, 2, True)


def test_a_missing_category_is_marked_and_one_seed_has_no_spread() -> None:
    cells = [cell(0.5, category="a"), cell(0.5, category="b"), cell(0.7, category="a", arm="generated")]
    found = means(frame(cells)).set_index("arm").loc["generated"]
    assert (isnan(found.spread), found.complete) == (True, False)
    table = main_tables(frame(cells))[0]
    assert table.rows[0][-1] == "70.0 *"
    assert "* not every category was measured with every seed." in table.notes


def test_cells_without_a_metric_do_not_count() -> None:
    assert means(frame([cell(None)])).empty
    assert means(frame([cell(0.5), cell(None, seed=1)])).complete.all()
    assert every_table(frame([cell(None)]))[0].name == "costs"


def test_arms_that_should_fail_have_their_own_tables() -> None:
    values = {"none": 0.6, "generated": 0.7, "wrong": 0.5, "poisoned": 0.4, "unpoisoned": 0.6}
    cells = [cell(v, arm=arm) for arm, v in values.items()]
    assert [head for _, head in named(cells, "main").heads][-2:] == ["none", "generated"]
    assert [head for _, head in named(cells, "failing").heads][-5:] == list(values)
    assert named(cells, "falsification").rows[0][4:7] == ("-20.0 [?]", "-10.0 [?]", "-20.0 [?]")
    assert named(cells, "falsification").rows[0][-1] == "too few seeds"


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "yes"),
        ({"wrong": 0.7}, "NO: wrong - none"),
        ({"poisoned": 0.6}, "not shown"),
        ({"no-twins": 0.9}, "yes"),
        ({"poisoned": 0.0}, "not all measured"),
    ],
)
def test_arms_that_should_fail_get_a_verdict(changed: dict[str, float], verdict: str) -> None:
    values = {"none": 0.6, "generated": 0.7, "wrong": 0.5, "poisoned": 0.4, "unpoisoned": 0.6, "no-twins": 0.7}
    arms = (values | changed).items()
    cells = [cell(v + seed / 100, arm=arm, seed=seed) for arm, v in arms if v for seed in range(3)]
    assert named(cells, "falsification").rows[0][-1] == verdict


def test_branches_sizes_settings_and_costs_have_tables_where_there_are_cells() -> None:
    assert [table.name for table in every_table(frame([cell(0.5)]))] == ["main", "main", "costs", "published"]
    cells = [cell(0.8, detector="one-to-normal", branches={"fused": 0.8, "n": 0.7, "p": 0.6}, arm="generated")]
    cells += [cell(v, detector=f"one-to-normal[twins.strength={v}]", arm="generated") for v in (0.2, 0.1)]
    cells += [cell(0.3, arm="none"), cell(0.4, arm="generated:4"), cell(0.5, arm="generated:16")]
    assert named(cells, "branches").rows == (("one-to-normal", "elpv", "2", "generated", "60.0", "70.0", "80.0"),)
    heads = [head for _, head in named(cells, "settings").heads][4:]
    assert heads == ["default", "twins.strength=0.1", "twins.strength=0.2"]
    assert named(cells, "settings").rows[0][4:] == ("80.0", "10.0", "20.0")
    assert [row[3:] for row in named(cells, "sizes").rows] == [("0", "30.0"), ("4", "40.0"), ("16", "50.0")]
    assert named(cells, "costs").rows[0] == ("memory", "elpv", "none", "1", "1.0", "5.0", "100", "900")


def test_settings_are_compared_over_the_seeds_that_all_were_measured_with() -> None:
    cells = [cell(v, seed=seed, detector="one-to-normal") for seed, v in enumerate((0.9, 0.8, 0.1, 0.2))]
    cells += [cell(v, seed=seed, detector="one-to-normal[twins.prompts=3]") for seed, v in enumerate((0.9, 0.8))]
    table = named(cells, "settings")
    assert table.rows[0][4:] == ("85.0 ± 7.1", "85.0 ± 7.1")
    assert "over the categories and seeds that all its settings were measured with" in table.notes[0]


def test_tables_say_of_how_many_test_images_less_than_the_published_set_has() -> None:
    notes = main_tables(frame([cell(0.8, dataset="mvtec", category="screw")]), ["image_auroc"])[0].notes
    assert (
        notes[-1] == "mvtec: screw was tested on 20 normal and 30 anomalous test images; the whole set has 41 and 119."
    )
    assert not any("whole set" in note for note in main_tables(frame([cell(0.8, dataset="my own")]))[0].notes)


def test_a_table_says_nothing_of_the_test_images_of_sets_that_are_not_in_it() -> None:
    unmeasured = cell(0.8, dataset="mvtec", category="screw")
    unmeasured["metrics"]["image_ap"] = None
    image_ap = main_tables(frame([unmeasured, cell(0.5)]), ["image_ap"])[0]
    assert not any("screw" in note for note in image_ap.notes)


def test_cells_without_image_auroc_still_have_their_costs(tmp_path: Path) -> None:
    bare = cell(0.8) | {"metrics": {}}
    assert [table.name for table in every_table(load_cells(folder(tmp_path, [bare])))] == ["costs", "published"]


def test_costs_are_of_one_data_set_a_row() -> None:
    rows = named([cell(0.5), cell(0.5, dataset="aitex", category="aitex")], "costs").rows
    assert [row[:3] for row in rows] == [("memory", "aitex", "none"), ("memory", "elpv", "none")]


def test_published_numbers_stand_beside_ours_and_say_that_they_are_not_re_run() -> None:
    table = main_tables(frame([cell(0.8, detector="one-to-normal", dataset="mvtec", category="screw")]))[0]
    assert table.heads[-1] == ("", "paper (published, not re-run)")
    assert table.rows[0][-1] == "95.1 ± 0.9"
    assert "mvtec: 1 of the 15 categories that the paper means." in table.notes
    assert [number["role"] for number in table.numbers] == ["reporting", "published"]


def test_published_numbers_are_all_there_and_found_by_our_names() -> None:
    assert len([row for row in PUBLISHED if row.method == "One-to-Normal"]) == 11 * 3
    assert [published_name(name) for name in ("brain-mri", "aitex", "head-ct", "cifar10")] == [
        *("BrainMRI", "AFID", "HeadCT", "CIFAR-10"),
    ]
    suspect = [row for row in PUBLISHED if row.note]
    assert [(row.dataset, row.k, row.auprc) for row in suspect] == [("RESC", 4, 93.2)]
    assert published("hazelnut_photos", 2) is None


def test_detectors_with_many_arms_get_a_table_each() -> None:
    arms = ("none", "rotations", "augmented", "generated", "both")
    both = main_tables(frame([cell(0.5, detector=name, arm=arm) for name in "ab" for arm in arms]), ["image_auroc"])
    assert [table.title for table in both] == ["Image AUROC: a", "Image AUROC: b"]
    small = main_tables(frame([cell(0.5, detector=name) for name in "ab"]), ["image_auroc"])
    assert [table.heads[-2:] for table in small] == [(("a", "none"), ("b", "none"))]


def test_an_arm_of_one_size_stands_in_the_main_table_and_of_several_in_its_own() -> None:
    one = [cell(0.5), cell(0.7, arm="real:8"), cell(0.2, arm="poisoned:8")]
    assert [head for _, head in named(one, "main").heads][4:] == ["none", "real:8"]
    assert [head for _, head in named(one, "failing").heads][4:] == ["none", "poisoned:8"]
    assert "sizes" not in [table.name for table in every_table(frame(one))]
    several = [*one, cell(0.8, arm="real:16")]
    assert [head for _, head in named(several, "main").heads][4:] == ["none"]
    assert [head for _, head in named(several, "sizes").heads][4:] == ["real"]


def test_markdown_and_csv_hold_every_row_and_number() -> None:
    tables = every_table(frame(two_arms({(0, "a|b"): 0.02, (1, "a|b"): 0.04, (2, "a|b"): 0.03}, dataset="x|y")))
    text = as_markdown(tables[0])
    assert text.splitlines()[0] == "## Image AUROC: memory"
    assert "| x\\|y | 2 | 1 | 3 | 50.0 ± 0.0 | 53.0 ± 1.0 |" in text
    rows = list(csv.DictReader(StringIO(as_csv(tables))))
    assert len(rows) == sum(len(table.numbers) for table in tables)
    won = next(row for row in rows if row["table"] == "gains")
    assert (won["value"], won["low"], won["high"], won["seeds"], won["count"]) == ("0.03", "0.02", "0.04", "3", "3")


def test_names_with_html_are_harmless_in_markdown() -> None:
    tables = every_table(frame([cell(0.5, dataset="<b>x</b>", detector="m<i>\n| a", category="&amp;")]))
    text = "\n".join(map(as_markdown, tables))
    assert "| &lt;b>x&lt;/b> | 2 |" in text
    assert "## Image AUROC: m&lt;i> \\| a\n" in text
    assert "<" not in text


@pytest.mark.parametrize("package", ["pandas", "matplotlib"])
def test_results_name_the_extra_that_brings_what_is_missing(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path, [cell(v, arm=arm) for arm, v in (("generated", 0.6), ("augmented", 0.5))])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=re.escape("pip install 'normalgen[evaluate]'")):
        optional(package)
    with pytest.raises(SystemExit):
        main(["results", str(tmp_path)])
    assert f"{package} is not installed; pip install 'normalgen[evaluate]'" in capsys.readouterr().err


def test_measuring_needs_neither_pandas_nor_matplotlib() -> None:
    code = "import sys; sys.modules.update(pandas=None, matplotlib=None); "
    code += "import normalgen.evaluation.run, normalgen.evaluation.request, normalgen.cli.evaluate"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("a & <b>", "a &amp; &lt;b>"),
        ("![x](http://host/x.png)", "![x]\\(http://host/x.png)"),
        ("[x](javascript:alert(1))", "[x]\\(javascript:alert(1))"),
        ("a\\|b\nc", "a\\\\\\|b c"),
        ("memory[grid=32] 90.1 [-0.4, +0.4]", "memory[grid=32] 90.1 [-0.4, +0.4]"),
    ],
)
def test_no_text_becomes_html_a_link_or_another_cell(text: str, safe: str) -> None:
    assert escaped(text) == safe
