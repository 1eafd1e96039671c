import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from result_cells import cell, folder, written

from normalgen.errors import DataError
from normalgen.results import Cell, Table, every_table, gain, gains, load_cells, main_tables, means, worth
from normalgen.results.cells import arm_rank, plain, select
from normalgen.results.layout import as_csv, as_markdown
from normalgen.results.published import PUBLISHED, published, published_name
from normalgen.results.stats import metric

AUROC = metric("image_auroc")


def two_arms(differences: dict[tuple[int, str], float], base: float = 0.5, **which: object) -> list[Cell]:
    """Cells of `augmented` at `base` and of `generated` above it, by seed and category."""
    return [
        cell(base + more, seed=seed, category=name, arm=arm, **which)
        for (seed, name), difference in differences.items()
        for arm, more in (("augmented", 0.0), ("generated", difference))
    ]


def named(tables: list[Table], name: str) -> Table:
    return next(table for table in tables if table.name == name)


def test_cells_are_read_from_any_depth_in_order(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [written(0.9, seed=1), written(0.8, seed=0), written(0.7, dataset="a")]))
    assert [each.dataset for each in found] == ["a", "elpv", "elpv"]
    assert found[1] == cell(0.8, seed=0)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('{"cell": {"data', "is no whole cell"),
        ("[]", "is no whole cell"),
        ("{}", "lacks 'cell'"),
        (json.dumps(written(1.5)), r"image_auroc is in \[0, 1\], got 1.5"),
        (json.dumps(written(float("nan"))), "got nan"),
        (json.dumps(written(0.5, k="2")), "k is a int, got '2'"),
        (json.dumps(written(0.5, arm="real:many", extra=1)), "got 'real:many'"),
        (json.dumps(written(1 + 1e-8)), r"image_auroc is in \[0, 1\], got 1.00000001"),
        (json.dumps(written(0.5, detector="a[b")), r"got 'a\[b'"),
        (json.dumps(written(0.5, detector="a[b]c")), r"got 'a\[b\]c'"),
        (json.dumps(written(0.5, detector="a[]")), r"got 'a\[\]'"),
        (json.dumps(written(0.5, role="other")), "got 'other'"),
    ],
)
def test_a_damaged_cell_is_named(tmp_path: Path, broken: str, words: str) -> None:
    folder(tmp_path, [written(0.9)])
    (tmp_path / "cells" / "half.json").write_text(broken)
    with pytest.raises(DataError, match=rf"half\.json.*{words}"):
        load_cells(tmp_path)


def test_rates_that_rounding_put_outside_are_taken_as_the_end(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [written(v, seed=s) for s, v in enumerate((1.0000000000000004, -1e-12))]))
    assert [each.metrics["image_auroc"] for each in found] == [1.0, 0.0]


def test_a_detector_s_settings_are_all_between_the_first_and_the_last_bracket(tmp_path: Path) -> None:
    found = load_cells(folder(tmp_path, [written(0.5, detector='x[scales=[1,2],how={"a":[]}]')]))
    assert (found[0].method, found[0].setting) == ("x", 'scales=[1,2],how={"a":[]}')


def test_no_cells_and_the_same_cell_twice_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="normalgen evaluate"):
        load_cells(tmp_path)
    with pytest.raises(DataError, match=r"1\.json and .*0\.json are the same cell"):
        load_cells(folder(tmp_path, [written(0.9), written(0.8)]))


def test_cells_are_selected_by_what_they_are() -> None:
    cells = [cell(0.5, k=2), cell(0.5, k=4), cell(0.5, k=4, arm="real:8", role="tuning")]
    assert select(cells, k=4, arms={"none"}) == [cells[1]]
    assert select(cells, role="tuning") == [cells[2]]
    assert sorted(["wrong", "real:16", "real:8", "none", "generated"], key=arm_rank) == [
        *("none", "generated", "real:8", "real:16", "wrong"),
    ]


def test_bracketed_detectors_are_plain_only_where_their_default_is_missing() -> None:
    cells = [cell(0.5, detector=name) for name in ("a", "a[x=1]", "b[x=1]")]
    assert [each.detector for each in plain(cells)] == ["a", "b[x=1]"]
    assert (cells[1].method, cells[1].setting) == ("a", "x=1")


def test_a_mean_is_over_categories_first_and_its_spread_over_seeds() -> None:
    cells = [cell(v, seed=s, category=c) for s, c, v in [(0, "a", 0.8), (0, "b", 0.6), (1, "a", 1.0), (1, "b", 0.8)]]
    found = means(cells, AUROC)["elpv", "reporting", 2, "memory", "none"]
    assert found.value == pytest.approx(0.8)
    assert found.spread == pytest.approx(0.2 / 2**0.5)
    assert (found.seeds, found.categories, found.complete) == (2, 2, True)


def test_a_missing_category_is_marked_and_one_seed_has_no_spread() -> None:
    cells = [cell(0.5, category="a"), cell(0.5, category="b"), cell(0.7, category="a", arm="generated")]
    found = means(cells, AUROC)["elpv", "reporting", 2, "memory", "generated"]
    assert (found.spread, found.complete) == (None, False)
    table = main_tables(cells)[0]
    assert table.rows[0][-1] == "70.0 *"
    assert "* not every category was measured with every seed." in table.notes


def test_cells_without_a_metric_do_not_count() -> None:
    assert means([cell(None)], AUROC) == {}
    assert means([cell(0.5), cell(None, seed=1)], AUROC).popitem()[1].complete
    assert every_table([cell(None)])[0].name == "costs"


def test_a_gain_pairs_category_k_seed_and_detector() -> None:
    cells = two_arms({(0, "a"): 0.02, (0, "b"): 0.04, (1, "a"): 0.06})
    found = gain([*cells, cell(0.9, seed=7, arm="generated")], "generated", "augmented", AUROC)
    assert found is not None
    assert found.value == pytest.approx((0.03 + 0.06) / 2)
    assert (found.pairs, found.seeds) == (3, 2)
    assert gain(cells, "generated", "none", AUROC) is None


def test_an_interval_of_equal_differences_is_a_point_and_of_one_pair_there_is_none() -> None:
    same = gain(two_arms({(s, "a"): 0.03 for s in range(4)}), "generated", "augmented", AUROC)
    assert same is not None
    assert (same.low, same.high) == pytest.approx((0.03, 0.03))
    single = gain(two_arms({(0, "a"): 0.03}), "generated", "augmented", AUROC)
    assert single is not None
    assert (single.low, single.high) == (None, None)
    assert "+3.0 [?]" in gains(two_arms({(0, "a"): 0.03}))[0].rows[0]


def test_three_seeds_or_categories_have_an_interval_and_two_have_none() -> None:
    two = two_arms({(0, "a"): 0.0, (1, "a"): 0.1})
    three = two_arms({(0, "a"): 0.0, (1, "a"): 0.1, (2, "a"): 0.05})
    both = two_arms({(s, c): more for s in range(2) for c, more in (("a", 0.0), ("b", 0.1), ("c", 0.05))})
    found = [gain(cells, "generated", "augmented", AUROC) for cells in (two, three, both)]
    assert [(each.low, each.high) for each in found if each] == [
        *((None, None), pytest.approx((0.0, 0.1)), pytest.approx((0.0, 0.1))),
    ]
    together = gain([*three, *two_arms({(0, "a"): 0.0, (1, "a"): 0.1}, dataset="few")], "generated", "augmented", AUROC)
    assert together is not None
    assert (together.low, together.high) == (None, None)


def test_the_interval_is_as_wide_as_the_spread_over_categories_demands() -> None:
    draw = np.random.default_rng(2)
    effects = draw.normal(0.1, 0.05, 15)
    cells = two_arms({(s, f"c{c:02}"): float(effects[c]) + draw.normal(0, 0.005) for s in range(5) for c in range(15)})
    found = gain(cells, "generated", "augmented", AUROC)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    error = effects.std() / 15**0.5
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_interval_of_crossed_seeds_and_categories_is_that_of_both_drawn_by_hand() -> None:
    values = np.array([[0.0, 0.1, 0.2], [0.1, 0.1, np.nan], [0.3, 0.0, 0.1], [0.0, 0.1, 0.4]])
    pairs = {(s, "abc"[c]): float(v) for (s, c), v in np.ndenumerate(values) if not np.isnan(v)}
    found = gain(two_arms(pairs), "generated", "augmented", AUROC)
    draw = np.random.default_rng(3)
    means_of = []
    for _ in range(4000):
        drawn = values[draw.integers(4, size=4)][:, draw.integers(3, size=3)]
        means_of.append(np.mean([row[~np.isnan(row)].mean() for row in drawn if not np.isnan(row).all()]))
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means_of, [0.025, 0.975])), abs=0.01)


def test_the_interval_of_many_seeds_is_that_of_their_mean() -> None:
    drawn = np.random.default_rng(1).normal(0.1, 0.02, 400)
    many = gain(two_arms({(s, "a"): float(d) for s, d in enumerate(drawn)}), "generated", "augmented", AUROC)
    assert many is not None
    error = drawn.std() / 20
    assert (many.low, many.high) == pytest.approx(
        (drawn.mean() - 1.96 * error, drawn.mean() + 1.96 * error), abs=0.1 * error
    )


def test_several_k_of_a_seed_are_one_draw() -> None:
    seeds = {(0, "a"): 0.0, (1, "a"): 0.1, (2, "a"): 0.05}
    once = two_arms(seeds)
    thrice = [each for k in (2, 4, 8) for each in two_arms(seeds, k=k)]
    found = [gain(cells, "generated", "augmented", AUROC) for cells in (once, thrice)]
    assert [(each.value, each.low, each.high) for each in found if each] == [pytest.approx((0.05, 0.0, 0.1))] * 2


def test_data_sets_count_the_same_and_tuning_ones_do_not_count_together() -> None:
    cells = two_arms({(s, "a"): 0.01 for s in range(5)}, dataset="many")
    cells += two_arms({(s, "a"): 0.05 for s in range(3)}, dataset="few")
    cells += two_arms({(s, "a"): 0.30 for s in range(2)}, dataset="chosen", role="tuning")
    table = gains(cells)[0]
    assert table.rows[0][:5] == ("memory", "all reporting sets", "all", "32", "+3.0 [+3.0, +3.0]")
    assert table.rows[-1][1] == "chosen (tuning)"
    assert any(note.startswith("(tuning)") for note in table.notes)
    assert any(note.startswith("(tuning)") for note in main_tables(cells)[0].notes)


def test_pairs_whose_arms_hold_different_numbers_of_images_are_left_out_and_said_to_be() -> None:
    cells = two_arms({(s, "a"): 0.02 for s in range(3)})
    cells += [cell(0.5, seed=3, arm="augmented", extra=3), cell(0.9, seed=3, arm="generated", extra=4)]
    found = gain(cells, "generated", "augmented", AUROC)
    assert found is not None
    assert found.value == pytest.approx(0.02)
    assert (found.pairs, found.uneven, found.complete) == (3, 1, False)
    assert gain(cells[-2:], "generated", "augmented", AUROC) is None
    table = gains(cells)[0]
    assert table.rows[0][4:] == ("+2.0 [+2.0, +2.0] *", "3", "3")
    assert "different numbers of images" in " ".join(note for note in table.notes if "*" in note)
    assert table.numbers[0].remark == "incomplete; 1 pairs left out, unlike numbers of images"


def test_none_and_both_hold_other_numbers_of_images_by_design() -> None:
    values = {"none": (0.5, 0), "augmented": (0.6, 4), "generated": (0.7, 4), "both": (0.8, 8)}
    table = gains([cell(v, arm=arm, extra=extra) for arm, (v, extra) in values.items()])[0]
    assert table.rows[0][4:7] == ("+10.0 [?]", "+20.0 [?]", "+20.0 [?]")
    assert not any("*" in note for note in table.notes)


def test_gains_that_lack_a_category_or_seed_of_the_data_set_are_marked() -> None:
    whole = two_arms({(s, c): 0.02 for s in range(2) for c in "abc"})
    assert not any("*" in text for table in gains(whole) for text in (*table.rows[0], *table.notes))
    for missing in (whole[:-1], [*whole, cell(0.5, seed=2, category="a", detector="other")]):
        table = gains(missing)[0]
        assert table.rows[0][4] == "+2.0 [+2.0, +2.0] *"
        assert "* not every category of the data sets is in it with every seed." in table.notes
        assert not any("different numbers" in note for note in table.notes)
        assert table.numbers[0].remark == "incomplete"


def test_arms_of_a_size_are_paired_with_the_same_size() -> None:
    cells = [cell(v, arm=arm) for arm, v in [("none", 0.5), ("augmented:8", 0.6), ("generated:8", 0.7)]]
    table = gains(cells)[0]
    assert table.rows == (("memory", "elpv", "2", "8", "+10.0 [?]", "+20.0 [?]", "1", "1"),)
    assert [number.arm for number in table.numbers] == ["generated:8 - augmented:8", "generated:8 - none"]


def test_worth_interpolates_and_is_honest_outside_the_curve() -> None:
    curve = {0: 0.7, 4: 0.8, 8: 0.9}
    assert worth(curve, 0.85).photos == pytest.approx(6)
    assert (worth(curve, 0.7).photos, worth(curve, 0.9).photos) == (0, 8)
    assert (str(worth(curve, 0.6)), worth(curve, 0.6).side) == ("less than none", "below")
    assert (str(worth(curve, 0.95)), worth(curve, 0.95).photos) == ("more than 8", None)


def test_worth_of_a_curve_that_falls_uses_the_closest_one_that_does_not() -> None:
    assert worth({0: 0.6, 2: 0.8, 4: 0.7, 8: 0.9}, 0.75).photos == 2
    assert worth({0: 0.6, 2: 0.8, 4: 0.7, 8: 0.9}, 0.825).photos == pytest.approx(6)


def test_worth_tells_nothing_where_real_photos_do_not_help() -> None:
    found = worth({0: 0.8, 2: 0.9, 4: 0.6}, 0.85)
    assert (found.photos, found.side, str(found)) == (None, "flat", "cannot tell: they do not help")


def test_the_worth_table_uses_the_categories_and_seeds_that_all_arms_have() -> None:
    arms = {"none": 0.6, "real:4": 0.7, "real": 0.9, "generated": 0.8}
    cells = [cell(v, arm=arm, extra=8 if arm == "real" else None) for arm, v in arms.items()]
    cells.append(cell(0.1, arm="generated", seed=1))
    table = named(every_table(cells), "worth")
    assert table.rows == (("memory", "elpv", "2", "generated", "80.0", "6.0", "0: 60.0, 4: 70.0, 8: 90.0"),)


def test_arms_that_should_fail_have_their_own_tables() -> None:
    values = {"none": 0.6, "generated": 0.7, "wrong": 0.5, "poisoned": 0.4, "unpoisoned": 0.6}
    cells = [cell(v, arm=arm) for arm, v in values.items()]
    tables = every_table(cells)
    assert [head for _, head in named(tables, "main").heads][-2:] == ["none", "generated"]
    assert [head for _, head in named(tables, "failing").heads][-5:] == list(values)
    assert named(tables, "falsification").rows[0][4:7] == ("-20.0 [?]", "-10.0 [?]", "-20.0 [?]")


def test_branches_sizes_settings_and_costs_have_tables_where_there_are_cells() -> None:
    assert [table.name for table in every_table([cell(0.5)])] == ["main", "main", "costs", "published"]
    cells = [cell(0.8, detector="one-to-normal", branches={"fused": 0.8, "n": 0.7, "p": 0.6}, arm="generated")]
    cells += [cell(v, detector=f"one-to-normal[twin_strength={v}]", arm="generated") for v in (0.2, 0.1)]
    cells += [cell(0.3, arm="none"), cell(0.4, arm="generated:4"), cell(0.5, arm="generated:16")]
    tables = every_table(cells)
    assert named(tables, "branches").rows == (("one-to-normal", "elpv", "2", "generated", "60.0", "70.0", "80.0"),)
    heads = [head for _, head in named(tables, "settings").heads][4:]
    assert heads == ["default", "twin_strength=0.1", "twin_strength=0.2"]
    assert named(tables, "settings").rows[0][4:] == ("80.0", "10.0", "20.0")
    assert [row[3:] for row in named(tables, "sizes").rows] == [("0", "30.0"), ("4", "40.0"), ("16", "50.0")]
    assert named(tables, "costs").rows[0] == ("memory", "none", "1", "1.0", "5.0", "100", "900")


def test_published_numbers_stand_beside_ours_and_say_that_they_are_not_re_run() -> None:
    table = main_tables([cell(0.8, detector="one-to-normal", dataset="mvtec", category="screw")])[0]
    assert table.heads[-1] == ("", "paper (published, not re-run)")
    assert table.rows[0][-1] == "95.1 ± 0.9"
    assert "mvtec: 1 of the 15 categories that the paper means." in table.notes
    assert [number.role for number in table.numbers] == ["reporting", "published"]


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
    both = main_tables([cell(0.5, detector=name, arm=arm) for name in "ab" for arm in arms], ["image_auroc"])
    assert [table.title for table in both] == ["Image AUROC: a", "Image AUROC: b"]
    small = main_tables([cell(0.5, detector=name) for name in "ab"], ["image_auroc"])
    assert [table.heads[-2:] for table in small] == [(("a", "none"), ("b", "none"))]


def test_an_arm_of_one_size_stands_in_the_main_table_and_of_several_in_its_own() -> None:
    one = [cell(0.5), cell(0.7, arm="real:8"), cell(0.2, arm="poisoned:8")]
    tables = every_table(one)
    assert [head for _, head in named(tables, "main").heads][4:] == ["none", "real:8"]
    assert [head for _, head in named(tables, "failing").heads][4:] == ["none", "poisoned:8"]
    assert "sizes" not in [table.name for table in tables]
    several = every_table([*one, cell(0.8, arm="real:16")])
    assert [head for _, head in named(several, "main").heads][4:] == ["none"]
    assert [head for _, head in named(several, "sizes").heads][4:] == ["real"]


def test_markdown_and_csv_hold_every_row_and_number() -> None:
    tables = every_table(two_arms({(0, "a|b"): 0.02, (1, "a|b"): 0.04, (2, "a|b"): 0.03}, dataset="x|y"))
    text = as_markdown(tables[0])
    assert text.splitlines()[0] == "## Image AUROC: memory"
    assert "| x\\|y | 2 | 1 | 3 | 50.0 ± 0.0 | 53.0 ± 1.0 |" in text
    rows = list(csv.DictReader(StringIO(as_csv(tables))))
    assert len(rows) == sum(len(table.numbers) for table in tables)
    won = next(row for row in rows if row["table"] == "gains")
    assert (won["value"], won["low"], won["high"], won["seeds"], won["count"]) == ("0.03", "0.02", "0.04", "3", "3")
