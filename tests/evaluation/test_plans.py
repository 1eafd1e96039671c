"""Plans, arms and detectors as they are asked for."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import drawn
from evaluations import category, plan
from result_cells import cell

from normalgen.detectors.specs import DetectorSpec, split_list
from normalgen.errors import DataError, PresetError
from normalgen.evaluation.arms import Arm, ArmPools
from normalgen.evaluation.estimate import estimate
from normalgen.evaluation.protocol import CellPlan, Setup
from normalgen.evaluation.run import evaluate
from normalgen.evaluation.setups import shots
from normalgen.images.decode import decode
from normalgen.images.images import pixel_digest
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.pool.workers import Shard
from normalgen.settings.presets import Preset, preset


def test_shards_share_the_setups_among_them(toy: Preset) -> None:
    asked = plan(toy, seeds=5, shots=(1, 2))
    parts = [[setup.name for setup in asked.setups(Shard(i, 3))] for i in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(setup.name for setup in asked.setups())


def test_fewer_tests_keep_the_share_of_anomalous_ones(toy: Preset) -> None:
    asked = plan(toy, tests=6)
    assert (len(asked.categories[0].tests), sum(asked.categories[0].labels)) == (6, 4)
    assert asked.categories[0].queries.names == plan(toy, tests=6).categories[0].queries.names
    assert [sum(plan(toy, tests=count).categories[0].labels) for count in (2, 3)] == [1, 2]
    with pytest.raises(DataError, match="--tests must be 0 for all, or at least 2"):
        plan(toy, tests=1)


def test_a_category_without_anomalous_images_or_with_too_few_normals_is_refused(toy: Preset) -> None:
    good = replace(category(), tests=category().tests[:4])
    with pytest.raises(DataError, match="4 test images, 0 of them anomalous"):
        plan(toy, categories=(good,))
    with pytest.raises(DataError, match="6 normal images to choose from"):
        plan(toy, shots=(8,))
    with pytest.raises(DataError, match="4 normal images besides its references, the arm real:5 needs 5"):
        plan(toy, "real:5")


def test_real_photos_that_join_are_neither_shots_nor_more_than_there_are(toy: Preset, tmp_path: Path) -> None:
    some, references = category(), shots(Setup(category(), 2, 0))
    banks = ArmPools(tmp_path, some, references, toy, None, None, 4, 0)
    found = banks.pool(Arm.parse("real:4"))
    assert found is not None
    assert len(found) == 4
    with pytest.raises(DataError, match="4 normal images besides its references"):
        banks.pool(Arm.parse("real:5"))


def test_arms_hold_no_more_than_the_gate_kept(toy: Preset, tmp_path: Path) -> None:
    some, references = category(), shots(Setup(category(), 2, 0))
    pool = write_pool(tmp_path / "pool", [drawn(1)] * 3, [NO_SOURCE] * 3, category="disc", mode="img2img")
    banks = ArmPools(tmp_path / "arms", some, references, toy, pool, None, 8, 0)
    sizes = [len(banks.pool(Arm.parse(arm)) or ()) for arm in ("augmented", "generated", "rotations", "both")]
    assert sizes == [3, 3, 3, 6]


def test_an_arm_of_a_size_of_its_own_holds_that_many_of_a_wrong_pool(toy: Preset, tmp_path: Path) -> None:
    some, references = category(), shots(Setup(category(), 2, 0))
    own, other = (
        write_pool(tmp_path / name, [drawn(1)] * 6, [NO_SOURCE] * 6, category=name, mode="img2img")
        for name in ("disc", "b")
    )
    banks = ArmPools(tmp_path / "arms", some, references, toy, own, other, 2, 0)
    sizes = [len(banks.pool(Arm.parse(arm)) or ()) for arm in ("wrong", "wrong:5", "wrong:9")]
    assert sizes == [2, 5, 6]


def test_sets_that_settings_were_chosen_on_are_marked(toy: Preset) -> None:
    hazelnuts = replace(category(), dataset="hazelnut_photos", name="hazelnut")
    both = plan(toy, categories=(category(), hazelnuts))
    assert [both.role(setup) for setup in both.setups()] == ["reporting", "tuning"]


def test_a_written_pool_is_one_that_detectors_take(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, [drawn(1), drawn(2)], [source_of("a.png", "0f"), NO_SOURCE], category="d", mode="real")
    assert [row["reference"] for row in Pool.load(tmp_path).rows] == ["a.png", ""]
    assert np.array_equal(np.array(pool.images[1]), np.array(drawn(2)))


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "memory[]",
        "memory[twins.strength=0.2]",
        "one-to-normal[twin_strength=0.2]",
        "one-to-normal[size=64]",
        "memory[colour=red]",
        "memory[grid",
        "json:dumps",
        "no.such:Thing",
    ],
)
def test_a_detector_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        DetectorSpec.parse(text)


@pytest.mark.parametrize("name", ["Raises", "Missing"])
def test_a_detector_of_somebody_s_that_raises_is_told_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "class Raises:\n    def __init__(self): raise ValueError('no weights')\n    fit = predict = __init__\n"
    (tmp_path / f"made_{name}.py").write_text(text if name == "Raises" else "class Missing(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="no weights" if name == "Raises" else "cannot be imported: SyntaxError"):
        DetectorSpec.parse(f"made_{name}:{name}")


def test_settings_in_brackets_go_to_the_detector_and_to_the_twins() -> None:
    found = DetectorSpec.parse("one-to-normal[branches=p+n,twins.strength=0.2,sample.steps=50]")
    assert (found.settings, found.sampling) == (
        {"branches": ["p", "n"]},
        {"twins": {"strength": 0.2}, "sample": {"steps": 50}},
    )
    assert not DetectorSpec.parse("one-to-normal[branches=n+]").makes_twins


@pytest.mark.parametrize("setting", ["twins.strength=0.01", "twins.steps=2", "sample.steps=2"])
def test_twins_that_cannot_be_made_are_refused_when_the_evaluation_is_planned(toy: Preset, setting: str) -> None:
    plan(toy, "none", detectors=(f"one-to-normal[{setting},branches=n+]",))
    with pytest.raises(PresetError, match=r"--(strength|steps) must be at "):
        plan(toy, "none", detectors=(f"one-to-normal[{setting}]",))
    plan(toy, "none", detectors=("one-to-normal[sample.steps=2,twins.strength=0.5]",))  # whatever a pool would take


@pytest.mark.parametrize("text", ["", "some", "real:0", "real:x", "Generated"])
def test_an_arm_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no arm"):
        Arm.parse(text)


def test_an_estimate_counts_cells_and_what_is_done(toy: Preset, tmp_path: Path) -> None:
    asked = plan(toy, "none", "generated", seeds=2)
    before = estimate(asked, tmp_path)
    evaluate(replace(asked, seeds=1), tmp_path)
    after = estimate(asked, tmp_path)
    assert (before.setups, before.cells, before.done, before.calibrated) == (2, 4, 0, False)
    assert (after.done, after.calibrated) == (2, True)
    assert before.hours
    assert after.hours


@pytest.mark.parametrize(
    ("detectors", "arms", "shots"),
    [
        (("memory",), ("none", "rotations", "augmented"), (2,)),
        (("memory", "one-to-normal"), ("none", "generated", "both"), (1, 2)),
    ],
)
def test_the_disk_of_a_small_plan_is_estimated_within_a_factor_of_2(
    detectors: tuple[str, ...], arms: tuple[str, ...], shots: tuple[int, ...], toy: Preset, tmp_path: Path
) -> None:
    asked = plan(toy, *arms, detectors=detectors, shots=shots)
    before = estimate(asked, tmp_path).megabytes
    evaluate(asked, tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) / 1e6
    assert written / 2 < before < 2 * written


def test_patches_and_twins_never_take_more_disk_than_their_caches_may(tmp_path: Path) -> None:
    few, many = (
        estimate(plan(preset("tiny"), "none", detectors=("one-to-normal",), seeds=seeds), tmp_path).megabytes
        for seeds in (2000, 3000)
    )
    models = 1000 * 24.7
    assert few == pytest.approx(8000 + 2 * models, rel=0.01)
    assert many - few == pytest.approx(models, rel=0.01)


def test_a_model_of_the_tiny_preset_is_estimated_at_minutes(tmp_path: Path) -> None:
    found = estimate(plan(preset("tiny"), "generated"), tmp_path)
    assert found.hours
    assert 2 < 60 * found.hours < 10


def test_cells_of_odd_names_have_files_of_their_own(toy: Preset, tmp_path: Path) -> None:
    setup = plan(toy).setups()[0]
    specs = [DetectorSpec.parse(text) for text in ("memory", "memory[grid=8]", "memory[grid=16]")]
    paths = {CellPlan(setup, spec, Arm.parse(arm)).path(tmp_path) for spec in specs for arm in ("real:2", "real")}
    assert len(paths) == 6


def test_without_a_finished_cell_nothing_is_known_of_the_hours_of_stable_diffusion(tmp_path: Path) -> None:
    small, large = (estimate(plan(preset(name), "generated"), tmp_path) for name in ("sd15", "paper"))
    assert small.hours is None
    assert large.megabytes - small.megabytes > 1000


def test_half_known_work_is_no_estimate_of_stable_diffusion(tmp_path: Path) -> None:
    asked = plan(preset("sd15"), "none", "generated")
    first = next(asked.cells(asked.setups()[0])).path(tmp_path)
    first.parent.mkdir(parents=True)
    seconds = {"fit": 1.0, "predict": 2.0}
    row = cell(0.5) | {"counts": {"normal": 2, "anomalous": 4}, "seconds": seconds}
    first.write_text(json.dumps(row))
    assert (estimate(asked, tmp_path).hours, estimate(asked, tmp_path).calibrated) == (None, False)
    first.write_text(json.dumps(row | {"seconds": seconds | {"customize": 1800.0, "pool": 600.0}}))
    found = estimate(asked, tmp_path)
    assert found.calibrated
    assert found.hours is not None
    assert found.hours > 0.6


def test_more_real_photos_than_there_are_is_told_before_any_work(toy: Preset) -> None:
    with pytest.raises(DataError, match="real:8 needs 8"):
        plan(toy, "real", n=8)


def test_lists_are_cut_at_commas_outside_all_brackets() -> None:
    text = 'one-to-normal[bank=30,branches=["p","n"]],memory'
    assert split_list(text) == ['one-to-normal[bank=30,branches=["p","n"]]', "memory"]
    assert DetectorSpec.parse(split_list(text)[0]).settings == {"bank": 30, "branches": ["p", "n"]}


def test_copies_of_what_poisons_a_bank_are_not_measured(toy: Preset, tmp_path: Path) -> None:
    some = category()
    bad = next(test for test in some.tests if test.label)
    copies = [replace(bad, image=replace(bad.image, name=f"copy-{i}.png")) for i in range(8)]
    some = replace(some, tests=(*some.tests, *copies))
    banks = ArmPools(tmp_path, some, shots(Setup(some, 2, 0)), toy, None, None, 4, 0)
    arm = Arm.parse("poisoned:3")
    shown = {pixel_digest(some.queries[place]) for place in banks.spoilers(3)}
    assert pixel_digest(decode(bad.image)) in shown
    assert shown.isdisjoint(pixel_digest(some.queries[place]) for place in banks.tested(arm))


def test_the_arms_of_a_setup_decode_each_test_image_once_to_tell_copies(
    toy: Preset, tmp_path: Path, decoded: Counter[str]
) -> None:
    some, references = category(), shots(Setup(category(), 2, 0))
    banks = ArmPools(tmp_path, some, references, toy, None, None, 2, 0)
    arms = [Arm.parse(arm) for arm in ("poisoned", "unpoisoned")]
    assert banks.tested(arms[0]) == banks.tested(arms[1])
    assert len(decoded) == len(some.tests)
    assert set(decoded.values()) == {1}
    banks.pool(Arm.parse("real:2"))
    assert all(decoded[test.image.source] == 1 for test in some.tests)
