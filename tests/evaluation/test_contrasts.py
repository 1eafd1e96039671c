from typing import Any

import numpy as np
import pytest
from result_cells import cell, named, two_arms

from normalgen.evaluation.cells import frame
from normalgen.evaluation.contrasts import gains as gains_of
from normalgen.evaluation.statistics import Gain, worth
from normalgen.evaluation.statistics import gain as gain_of
from normalgen.evaluation.table_format import Table, signed
from normalgen.evaluation.tables import main_tables

Cells = list[dict[str, Any]]


def gain(cells: Cells, arm: str, base: str) -> Gain | None:
    return gain_of(frame(cells), arm, base)


def gains(cells: Cells) -> list[Table]:
    return gains_of(frame(cells))


def test_a_gain_pairs_category_k_seed_and_detector() -> None:
    cells = two_arms({(0, "a"): 0.02, (0, "b"): 0.04, (1, "a"): 0.06})
    found = gain([*cells, cell(0.9, seed=7, arm="generated")], "generated", "augmented")
    assert found is not None
    assert found.value == pytest.approx((0.03 + 0.06) / 2)
    assert (found.count, found.seeds) == (3, 2)
    assert gain(cells, "generated", "none") is None


def test_an_interval_of_equal_differences_is_a_point_and_of_one_pair_there_is_none() -> None:
    same = gain(two_arms({(s, "a"): 0.03 for s in range(4)}), "generated", "augmented")
    assert same is not None
    assert (same.low, same.high) == pytest.approx((0.03, 0.03))
    single = gain(two_arms({(0, "a"): 0.03}), "generated", "augmented")
    assert single is not None
    assert (single.low, single.high) == (None, None)
    assert "+3.0 [?]" in gains(two_arms({(0, "a"): 0.03}))[0].rows[0]


def test_three_seeds_or_categories_have_an_interval_and_two_have_none() -> None:
    two = two_arms({(0, "a"): 0.0, (1, "a"): 0.1})
    three = two_arms({(0, "a"): 0.0, (1, "a"): 0.1, (2, "a"): 0.05})
    both = two_arms({(s, c): more for s in range(2) for c, more in (("a", 0.0), ("b", 0.1), ("c", 0.05))})
    found = [gain(cells, "generated", "augmented") for cells in (two, three, both)]
    assert [(item.low, item.high) for item in found if item] == [
        *((None, None), pytest.approx((0.0, 0.1)), pytest.approx((0.0, 0.1))),
    ]
    together = gain([*three, *two_arms({(0, "a"): 0.0, (1, "a"): 0.1}, dataset="few")], "generated", "augmented")
    assert together is not None
    assert (together.low, together.high) == (None, None)


def test_the_interval_is_as_wide_as_the_spread_over_categories_demands() -> None:
    draw = np.random.default_rng(2)
    effects = draw.normal(0.1, 0.05, 15)
    cells = two_arms({(s, f"c{c:02}"): float(effects[c]) + draw.normal(0, 0.005) for s in range(5) for c in range(15)})
    found = gain(cells, "generated", "augmented")
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    error = effects.std() / 15**0.5
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_interval_of_crossed_seeds_and_categories_is_that_of_both_drawn_by_hand() -> None:
    values = np.array([[0.0, 0.1, 0.2], [0.1, 0.1, np.nan], [0.3, 0.0, 0.1], [0.0, 0.1, 0.4]])
    pairs = {(s, "abc"[c]): float(v) for (s, c), v in np.ndenumerate(values) if not np.isnan(v)}
    found = gain(two_arms(pairs), "generated", "augmented")
    draw = np.random.default_rng(3)
    means_of = []
    for _ in range(4000):
        drawn = values[draw.integers(4, size=4)][:, draw.integers(3, size=3)]
        means_of.append(np.mean([row[~np.isnan(row)].mean() for row in drawn if not np.isnan(row).all()]))
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means_of, [0.025, 0.975])), abs=0.01)


def test_the_interval_of_many_seeds_is_that_of_their_mean() -> None:
    drawn = np.random.default_rng(1).normal(0.1, 0.02, 400)
    many = gain(two_arms({(s, "a"): float(d) for s, d in enumerate(drawn)}), "generated", "augmented")
    assert many is not None
    error = drawn.std() / 20
    assert (many.low, many.high) == pytest.approx(
        (drawn.mean() - 1.96 * error, drawn.mean() + 1.96 * error), abs=0.1 * error
    )


def test_several_k_of_a_seed_are_one_draw() -> None:
    seeds = {(0, "a"): 0.0, (1, "a"): 0.1, (2, "a"): 0.05}
    once = two_arms(seeds)
    thrice = [item for k in (2, 4, 8) for item in two_arms(seeds, k=k)]
    found = [gain(cells, "generated", "augmented") for cells in (once, thrice)]
    assert [(item.value, item.low, item.high) for item in found if item] == [pytest.approx((0.05, 0.0, 0.1))] * 2


def test_data_sets_count_the_same_and_tuning_ones_do_not_count_together() -> None:
    cells = two_arms({(s, "a"): 0.01 for s in range(5)}, dataset="many")
    cells += two_arms({(s, "a"): 0.05 for s in range(3)}, dataset="few")
    cells += two_arms({(s, "a"): 0.30 for s in range(2)}, dataset="chosen", role="tuning")
    table = gains(cells)[0]
    assert table.rows[0][:5] == ("memory", "all reporting sets", "all", "32", "+3.0 [+3.0, +3.0]")
    assert table.rows[-1][1] == "chosen (tuning)"
    assert any(note.startswith("(tuning)") for note in table.notes)
    assert any(note.startswith("(tuning)") for note in main_tables(frame(cells))[0].notes)


def test_pairs_whose_arms_hold_different_numbers_of_images_are_left_out_and_said_to_be() -> None:
    cells = two_arms({(s, "a"): 0.02 for s in range(3)})
    cells += [cell(0.5, seed=3, arm="augmented", extra=3), cell(0.9, seed=3, arm="generated", extra=4)]
    found = gain(cells, "generated", "augmented")
    assert found is not None
    assert found.value == pytest.approx(0.02)
    assert (found.count, found.uneven, found.complete) == (3, 1, False)
    assert gain(cells[-2:], "generated", "augmented") is None
    table = gains(cells)[0]
    assert table.rows[0][4:] == ("+2.0 [+2.0, +2.0] *", "3", "3")
    assert "different numbers of images" in " ".join(note for note in table.notes if "*" in note)
    assert table.numbers[0]["remark"] == "incomplete; 1 pairs left out, unlike numbers of images"


def test_none_and_both_hold_other_numbers_of_images_by_design() -> None:
    values = {"none": (0.5, 0), "augmented": (0.6, 4), "generated": (0.7, 4), "both": (0.8, 8)}
    table = gains([cell(v, arm=arm, extra=extra) for arm, (v, extra) in values.items()])[0]
    assert table.rows[0][4:7] == ("+10.0 [?]", "+20.0 [?]", "+20.0 [?]")
    beaten = gains([cell(0.6, arm="rotations"), cell(0.5, arm="generated")])[0]
    assert (beaten.heads[4][1], beaten.rows[0][4]) == ("generated - rotations", "-10.0 [?]")
    assert not any("*" in note for note in table.notes)


def test_gains_that_lack_a_category_or_seed_of_the_data_set_are_marked() -> None:
    whole = two_arms({(s, c): 0.02 for s in range(2) for c in "abc"})
    assert not any("*" in text for table in gains(whole) for text in (*table.rows[0], *table.notes))
    for missing in (whole[:-1], [*whole, cell(0.5, seed=2, category="a", detector="other")]):
        table = gains(missing)[0]
        assert table.rows[0][4] == "+2.0 [+2.0, +2.0] *"
        assert "* not every category of the data sets is in it with every seed." in table.notes
        assert not any("different numbers" in note for note in table.notes)
        assert table.numbers[0]["remark"] == "incomplete"


def test_a_loss_that_rounds_to_nothing_keeps_its_sign() -> None:
    assert [signed(value) for value in (-0.0003, 0.0003, 0.0, -0.0, -1e-12)] == ["-0.0", "+0.0", "+0.0", "+0.0", "+0.0"]


def test_one_set_over_several_k_is_not_called_all_sets() -> None:
    cells = [item for k in (2, 4) for item in two_arms({(s, "a"): 0.02 for s in range(3)}, k=k)]
    assert [row[1:3] for row in gains(cells)[0].rows] == [("elpv", "all"), ("elpv", "2"), ("elpv", "4")]
    cells += [cell(0.5, dataset="aitex", category="a", arm=arm, seed=s) for arm in ("none", "both") for s in range(3)]
    assert [row[1:3] for row in gains(cells)[0].rows] == [("elpv", "all"), ("elpv", "2"), ("elpv", "4")]
    cells += two_arms({(s, "a"): 0.04 for s in range(3)}, dataset="aitex")
    assert gains(cells)[0].rows[0][1:3] == ("all reporting sets", "all")


def test_arms_of_a_size_are_paired_with_the_same_size() -> None:
    cells = [cell(v, arm=arm) for arm, v in [("none", 0.5), ("augmented:8", 0.6), ("generated:8", 0.7)]]
    table = gains(cells)[0]
    assert table.rows == (("memory", "elpv", "2", "8", "+10.0 [?]", "+20.0 [?]", "1", "1"),)
    assert [number["arm"] for number in table.numbers] == ["generated:8 - augmented:8", "generated:8 - none"]


def test_worth_interpolates_and_is_honest_outside_the_curve() -> None:
    curve = {0: 0.7, 4: 0.8, 8: 0.9}
    assert worth(curve, 0.85)[0] == pytest.approx(6)
    assert (worth(curve, 0.7)[0], worth(curve, 0.9)[0]) == (0, 8)
    assert worth(curve, 0.6) == (None, "less than none")
    assert worth(curve, 0.95) == (None, "more than 8")


def test_worth_of_a_curve_that_falls_uses_the_closest_one_that_does_not() -> None:
    assert worth({0: 0.6, 2: 0.8, 4: 0.7, 8: 0.9}, 0.75)[0] == 2
    assert worth({0: 0.6, 2: 0.8, 4: 0.7, 8: 0.9}, 0.825)[0] == pytest.approx(6)


def test_worth_tells_nothing_where_real_photos_do_not_help() -> None:
    assert worth({0: 0.8, 2: 0.9, 4: 0.6}, 0.85) == (None, "cannot tell: they do not help")


def test_the_worth_table_uses_the_categories_and_seeds_that_all_arms_have() -> None:
    arms = {"none": 0.6, "real:4": 0.7, "real": 0.9, "generated": 0.8}
    cells = [
        cell(v, arm=arm, seed=seed, extra=8 if arm == "real" else None) for arm, v in arms.items() for seed in range(3)
    ]
    cells.append(cell(0.1, arm="generated", seed=3))
    table = named(cells, "worth")
    assert table.rows == (("memory", "elpv", "2", "generated", "80.0 ± 0.0", "6.0", "0: 60.0, 4: 70.0, 8: 90.0"),)


def worths(arms: dict[str, list[float]]) -> str:
    cells = [cell(v, arm=arm, seed=s) for arm, values in arms.items() for s, v in enumerate(values)]
    return named(cells, "worth").rows[0][5]


def test_worth_is_told_only_of_a_gain_that_is_shown_and_of_a_curve_of_some_points() -> None:
    real = {"none": [0.6, 0.6, 0.6], "real:8": [0.8, 0.8, 0.8], "real:16": [0.9, 0.9, 0.9]}
    assert worths(real | {"generated": [0.7, 0.69, 0.71]}) == "4.0"
    assert worths(real | {"generated": [0.5, 0.7, 0.9]}) == "cannot tell: no gain is shown"
    two = {arm: values for arm, values in real.items() if arm != "real:8"}
    assert worths(two | {"generated": [0.7, 0.69, 0.71]}) == "cannot tell: only 0 and 16 measured"


def test_worth_looks_for_a_gain_over_the_seeds_of_the_curve_alone() -> None:
    arms = {"none": [0.6] * 5, "real:8": [0.8] * 3, "real:16": [0.9] * 3, "generated": [0.7, 0.69, 0.71, 0.5, 0.5]}
    assert worths(arms) == "4.0"


def test_worth_is_not_told_where_there_is_no_interval() -> None:
    few = {"none": [0.6] * 5, "real:8": [0.8] * 2, "real:16": [0.9] * 2, "generated": [0.7, 0.69, 0.3, 0.3, 0.3]}
    assert worths(few) == "cannot tell: no gain is shown"
