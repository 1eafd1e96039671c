"""Cells, on drawn parts and a toy model."""

import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import drawn
from evaluations import ARMS, category, item, plan, results, spoilt
from normalgen.baselines.memory import PatchMemory

from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.errors import DataError, NothingKept
from normalgen.evaluation.arms import Arm, ArmPools
from normalgen.evaluation.measure import measure
from normalgen.evaluation.protocol import Setup
from normalgen.evaluation.run import check, evaluate
from normalgen.evaluation.setups import ready_other, shots
from normalgen.images.images import Images
from normalgen.io.progress import silent
from normalgen.io.run_folder import locked
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.settings.presets import Preset


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, toy: Preset) -> Path:
    """The memory with all arms, One-to-Normal with some."""
    out = tmp_path_factory.mktemp("evaluation")
    evaluate(plan(toy), out)
    evaluate(plan(toy, "none", "generated", "no-twins", detectors=("memory", "one-to-normal")), out)
    return out


def test_every_detector_is_measured_with_every_arm_and_no_twins_only_where_there_are_some(measured: Path) -> None:
    twins = {("one-to-normal", arm) for arm in ("none", "generated", "no-twins")}
    assert set(results(measured)) == {("memory", arm) for arm in ARMS} | twins


def test_arms_differ_in_what_joins_the_references_alone(measured: Path) -> None:
    rows = [row for (detector, _), row in results(measured).items() if detector == "memory"]
    counts = {row["cell"]["arm"]: row["counts"]["extra"] for row in rows}
    wanted = {"none": 0, "rotations": 4, "augmented": 4, "generated": 4, "both": 8, "real:2": 2}
    assert counts == wanted | {"poisoned:3": 3, "unpoisoned:3": 3}
    assert len({tuple(row["digests"]["references"]) for row in rows}) == 1


def test_an_easy_defect_is_found_in_image_and_pixels(measured: Path) -> None:
    row = results(measured)["memory", "none"]
    assert row["metrics"]["image_auroc"] == 1
    assert row["metrics"]["pixel_auroc"] > 0.9
    assert row["counts"] == {"references": 2, "extra": 0, "normal": 4, "anomalous": 8}
    assert row["role"] == "reporting"


def test_one_to_normal_tells_what_each_branch_is_worth(measured: Path) -> None:
    whole, without = (results(measured)["one-to-normal", arm] for arm in ("generated", "no-twins"))
    assert set(whole["branches"]) == {"p", "n", "fused"}
    assert set(without["branches"]) == {"n", "fused"}
    assert whole["settings"]["model"] == whole["digests"]["model"]


def test_what_poisons_a_bank_is_not_measured_and_hurts(measured: Path) -> None:
    found = results(measured)
    poisoned, clean = (found["memory", arm] for arm in ("poisoned:3", "unpoisoned:3"))
    assert poisoned["counts"] == clean["counts"] | {"anomalous": 5}
    assert poisoned["metrics"]["image_auroc"] < clean["metrics"]["image_auroc"]


def test_a_cell_that_is_there_is_left_and_a_lost_one_comes_back_the_same(toy: Preset, tmp_path: Path) -> None:
    asked = plan(toy, "none", "generated")
    evaluate(asked, tmp_path)
    paths = [cell.path(tmp_path) for setup in asked.setups() for cell in asked.cells(setup)]
    before, metrics = paths[0].stat().st_mtime_ns, json.loads(paths[1].read_text())["metrics"]
    paths[1].unlink()
    told: list[Any] = []
    evaluate(asked, tmp_path, tell=told.append)
    assert paths[0].stat().st_mtime_ns == before
    assert [row["metrics"] for row in told] == [metrics]


def test_other_settings_in_the_same_folder_are_refused(toy: Preset, tmp_path: Path) -> None:
    evaluate(plan(toy, "none"), tmp_path)
    with pytest.raises(DataError, match="n was 4, now 5"):
        evaluate(plan(toy, "none", n=5), tmp_path)


def test_order_of_the_test_images_and_batches_change_nothing(toy: Preset, tmp_path: Path) -> None:
    turned = replace(category(), tests=category().tests[::-1])
    for name, some, detector in (("a", category(), "memory"), ("b", turned, "memory[batch=3]")):
        evaluate(plan(toy, "none", detectors=(detector,), categories=(some,)), tmp_path / name)
    one, other = (next(iter(results(tmp_path / name).values()))["metrics"] for name in "ab")
    assert one == pytest.approx(other, abs=1e-6)


def test_the_pool_of_another_category_lowers_the_auroc(toy: Preset, tmp_path: Path) -> None:
    """Where what is normal in the other category is a defect in this one."""
    some, references = category(), shots(Setup(category(), 2, 0))
    other = write_pool(
        tmp_path / "other", [spoilt(300 + i)[0] for i in range(6)], [NO_SOURCE] * 6, category="b", mode="img2img"
    )
    banks = ArmPools(tmp_path / "arms", some, references, toy, None, other, 6, 0)
    memory = PatchMemory()
    none, wrong = (
        memory.fit(references, banks.pool(Arm.parse(arm))).predict(some.queries) for arm in ("none", "wrong")
    )
    scores = [measure(each, list(some.tests)).metrics["image_auroc"] for each in (none, wrong)]
    assert scores[0] == 1
    assert (scores[1] or 0) < 0.9


def test_the_arm_wrong_needs_another_category(toy: Preset) -> None:
    with pytest.raises(DataError, match="two categories"):
        plan(toy, "wrong")


def test_shots_are_nested_and_never_tested() -> None:
    some = category()
    chosen = [set(shots(Setup(some, k, 3)).images.names) for k in (1, 2, 4)]
    assert chosen[0] < chosen[1] < chosen[2]
    assert not chosen[2] & set(some.queries.names)


def test_another_seed_chooses_other_shots() -> None:
    assert len({tuple(shots(Setup(category(), 2, seed)).images.names) for seed in range(5)}) > 1


def test_cells_are_counted_one_by_one_and_a_waiting_worker_reports_nothing(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan(toy, "none", "augmented")
    seen: list[tuple[str, int, int]] = []
    waited: list[int] = []
    check(asked, tmp_path, look=False)
    held = ExitStack()
    held.enter_context(locked(tmp_path / "made" / asked.setups()[0].name))

    def sleep(seconds: float) -> None:
        waited.append(len(seen))
        if len(waited) == 3:
            held.close()

    monkeypatch.setattr("normalgen.evaluation.run.time.sleep", sleep)
    evaluate(asked, tmp_path, watch=lambda *step: seen.append(step))
    assert waited == [1, 1, 1]
    assert [step for step in dict.fromkeys(seen) if step[0] == "cells"] == [("cells", done, 2) for done in range(3)]


def test_a_setup_whose_donor_is_busy_waits_without_a_lock_of_its_own(toy: Preset, tmp_path: Path) -> None:
    """Else two workers, each at what the other needs, would wait for ever."""
    asked = plan(toy, "none", "wrong", categories=(category("a"), category("b")))
    setup = asked.setups()[0]
    check(asked, tmp_path, look=False)
    with locked(tmp_path / "made" / asked.other(setup).name):
        assert not ready_other(asked, setup, tmp_path, silent)
    assert ready_other(asked, setup, tmp_path, silent)
    with locked(tmp_path / "made" / asked.other(setup).name):
        assert ready_other(asked, setup, tmp_path, silent)
    evaluate(asked, tmp_path)
    cells = [json.loads(path.read_text()) for path in tmp_path.glob("cells/**/*.json")]
    assert len(cells) == 4
    assert {cell["digests"]["model"] for cell in cells} == {None}


def test_what_cannot_be_measured_is_told_at_the_end_and_the_rest_is_measured(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_broken.py").write_text("class Broken:\n    fit = predict = lambda self, *_: 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    both = plan(toy, "none", detectors=("own_broken:Broken", "memory"))
    with pytest.raises(DataError, match=r"1 of 2 cells could not be measured.*ZeroDivisionError: .*own_broken.py:2"):
        evaluate(both, tmp_path / "out")
    assert set(results(tmp_path / "out")) == {("memory", "none")}


def test_where_the_gate_keeps_nothing_the_other_arms_are_measured(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_kept(*_: object, **__: object) -> Pool:
        raise NothingKept("the gate kept none of 8 candidates")

    monkeypatch.setattr("normalgen.evaluation.setups.fill_pool", none_kept)
    with pytest.raises(DataError, match=r"1 of 3 cells .* generated: .*there is none: the gate kept none of 8"):
        evaluate(plan(toy, "none", "augmented", "generated"), tmp_path)
    assert set(results(tmp_path)) == {("memory", "none"), ("memory", "augmented")}


def test_a_pool_that_is_not_what_it_should_be_is_not_passed_over(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(*_: object, **__: object) -> Pool:
        raise DataError("the pool is spoilt")

    monkeypatch.setattr("normalgen.evaluation.setups.fill_pool", spoilt)
    with pytest.raises(DataError, match=r"3 of 3 cells .* the pool is spoilt"):
        evaluate(plan(toy, "none", "augmented", "generated"), tmp_path)


def test_a_cell_says_what_was_used(measured: Path) -> None:
    found = results(measured)
    assert found["memory", "generated"]["settings"]["preset"]["pool"]["plain"] == 0
    assert "preset" not in found["memory", "none"]["settings"]
    assert found["memory", "none"]["digests"]["model"] is None
    assert found["memory", "generated"]["digests"]["model"] == found["one-to-normal", "none"]["digests"]["model"]
    tested = {arm: row["digests"]["tests"] for (_, arm), row in found.items()}
    assert tested["none"] == tested["generated"] != tested["poisoned:3"] == tested["unpoisoned:3"]
    joined = [found["memory", arm]["digests"]["joined"] for arm in ("none", "rotations", "augmented", "generated")]
    assert len(set(joined)) == 4


def test_a_detector_of_ones_own_is_measured_by_its_import_path(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_detector.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    evaluate(plan(toy, "none", detectors=("own_detector:Brightest",)), tmp_path / "out")
    row = results(tmp_path / "out")["own_detector:Brightest", "none"]
    assert row["metrics"]["image_auroc"] > 0.9
    assert row["settings"]["power"] == 1
    sys.modules.pop("own_detector")


OWN = """
import torch
from normalgen.detectors.base import Prediction
from normalgen.images.images import to_tensor


class Brightest:
    def __init__(self, *, power=1):
        self.power = power

    def fit(self, references, pool=None):
        return self

    def predict(self, queries):
        maps = torch.stack([to_tensor(query, 32).amin(0) for query in queries]) ** self.power
        return Prediction(maps.flatten(1).amax(1), maps)
"""


def test_what_a_detector_says_of_itself_need_not_be_plain(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "    def settings(self):\n        from pathlib import Path\n        return {'where': Path('here')}\n"
    (tmp_path / "own_path.py").write_text(OWN + says)
    (tmp_path / "own_dict.py").write_text(OWN.replace("self.power = power", "self.power, self.settings = power, {}"))
    monkeypatch.syspath_prepend(tmp_path)
    evaluate(plan(toy, "none", detectors=("own_path:Brightest", "own_dict:Brightest")), tmp_path / "out")
    found = results(tmp_path / "out")
    assert found["own_path:Brightest", "none"]["settings"]["where"] == "here"
    assert found["own_dict:Brightest", "none"]["metrics"]["image_auroc"] > 0.9


def test_other_images_under_the_same_names_are_refused(toy: Preset, tmp_path: Path) -> None:
    asked = plan(toy, "none")
    evaluate(asked, tmp_path)
    some = category()
    fewer = replace(some, tests=some.tests[1:])
    others = replace(
        some, normals=Images([item(each.name, drawn(50 + i)) for i, each in enumerate(some.normals.items)])
    )
    for changed, what in ((fewer, "tests differ"), (others, "shots differ")):
        with pytest.raises(DataError, match=what):
            evaluate(replace(asked, categories=(changed,)), tmp_path)


def test_text_maps_are_not_measured_on_what_they_were_trained_on(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OneToNormal, "trained_on", lambda self, queries: queries.names[:3])
    with pytest.raises(DataError, match="trained on 3 of the 12 test images, such as good-0"):
        evaluate(plan(toy, "none", detectors=("one-to-normal[branches=n+]",)), tmp_path)


def test_a_cell_with_a_spoilt_mask_measures_images_and_says_why_not_pixels(toy: Preset, tmp_path: Path) -> None:
    some = category()
    tests = [*some.tests[:-1], replace(some.tests[-1], mask=item("mask-7.png", drawn(1).resize((41, 40))))]
    evaluate(plan(toy, "none", categories=(replace(some, tests=tuple(tests)),)), tmp_path)
    row = results(tmp_path)["memory", "none"]
    assert row["metrics"]["image_auroc"] == 1
    assert row["metrics"]["aupro"] is None
    assert row["reasons"]["aupro"] == "mask-7.png has (41, 40) pixels and its image (40, 40); they must agree"


def test_what_is_named_twice_is_measured_once(toy: Preset) -> None:
    twice = plan(toy, "none", "none", shots=(2, 2), detectors=("memory", "memory"), categories=(category(), category()))
    assert len([cell for setup in twice.setups() for cell in twice.cells(setup)]) == 1
