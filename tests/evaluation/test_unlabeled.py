"""Arms of unlabeled photos: what joins, what is measured, and what is shared."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluations import category, plan, results
from normalgen.baselines.memory import PatchMemory, inliers
from result_cells import cell, named

from normalgen.data.category import Category
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps
from normalgen.detectors.one_to_normal.triplet import PatchBank
from normalgen.detectors.specs import DetectorSpec
from normalgen.errors import DataError
from normalgen.evaluation.arms import Arm, ArmPools
from normalgen.evaluation.cells import frame
from normalgen.evaluation.protocol import CellPlan, Setup
from normalgen.evaluation.run import evaluate
from normalgen.evaluation.setups import shots
from normalgen.evaluation.statistics import share
from normalgen.evaluation.studies import STUDIES
from normalgen.features.patches import joined_patches
from normalgen.images.images import pixel_digest
from normalgen.pool.dataset import Pool
from normalgen.settings.presets import Preset

STREAM = "4@0.25"
NAMES = ("none", "augmented", "unlabeled", "unlabeled-blind", "unlabeled-softpatch", "unlabeled-oracle")
ARMS = tuple(name if name == "none" else f"{name}:{STREAM}" for name in NAMES)


def banks(toy: Preset, folder: Path, some: Category, held: int = 0) -> ArmPools:
    return ArmPools(folder, some, shots(Setup(some, 2, 0)), toy, None, None, 4, 0, held=held)


def looks(pool: Pool | None) -> list[str]:
    return [pixel_digest(image) for image in pool.images] if pool else []


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, toy: Preset) -> Path:
    out = tmp_path_factory.mktemp("unlabeled")
    evaluate(plan(toy, *ARMS, "unlabeled-blind:2@0", detectors=("memory", "one-to-normal[branches=n]")), out)
    return out


@pytest.mark.parametrize(
    ("text", "full", "spoilt"),
    [
        ("unlabeled", "unlabeled:24@0.1", 2),
        ("unlabeled-blind:100", "unlabeled-blind:100@0.1", 10),
        ("unlabeled-oracle@.30", "unlabeled-oracle:24@0.3", 7),
        ("augmented:24@0.2", "augmented:24@0.2", 5),
        ("augmented:22", "augmented:22", 0),
    ],
)
def test_an_arm_of_unlabeled_photos_says_how_many_and_how_many_of_them_are_anomalous(
    text: str, full: str, spoilt: int
) -> None:
    arm = Arm.parse(text)
    assert (arm.text, arm.spoilt) == (full, spoilt)


@pytest.mark.parametrize(
    ("text", "why"), [("real:4@0.1", "only augmented and the unlabeled"), ("unlabeled@0.5", "0.5")]
)
def test_a_share_of_anomalous_photos_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        Arm.parse(text)


def test_more_photos_and_more_anomalous_ones_hold_the_fewer(toy: Preset, tmp_path: Path) -> None:
    arms = banks(toy, tmp_path, category())
    texts = ("2@0", "4@0.25", "4@0.49")
    oracle = [looks(arms.pool(Arm.parse(f"unlabeled-oracle:{text}"))) for text in texts]
    blind = [looks(arms.pool(Arm.parse(f"unlabeled-blind:{text}"))) for text in texts]
    bad = [set(all_) - set(good) for all_, good in zip(blind, oracle, strict=True)]
    assert [len(photos) for photos in oracle] == [2, 3, 2]
    assert oracle[1][:2] == oracle[0] == oracle[2]
    assert [len(photos) for photos in bad] == [0, 1, 2]
    assert bad[1] < bad[2]
    known = {pixel_digest(image) for image in shots(Setup(category(), 2, 0)).images}
    assert known.isdisjoint(blind[1])


def test_what_joins_is_the_whole_stream_its_good_photos_or_those_that_are_kept(measured: Path) -> None:
    rows = results(measured)
    extra = {arm: row["counts"]["extra"] for (detector, arm), row in rows.items() if detector == "memory"}
    assert {arm for detector, arm in rows if detector != "memory"} == {*extra} - {f"unlabeled-softpatch:{STREAM}"}
    kept = extra.pop(f"unlabeled:{STREAM}")
    assert 0 < kept <= 4
    assert extra == {
        **{"none": 0, f"augmented:{STREAM}": kept, f"unlabeled-blind:{STREAM}": 4, f"unlabeled-oracle:{STREAM}": 3},
        **{f"unlabeled-softpatch:{STREAM}": 4, "unlabeled-blind:2@0": 2},
    }


def test_all_arms_are_measured_on_the_same_images_without_the_anomalous_ones_of_any_stream(measured: Path) -> None:
    rows = results(measured).values()
    assert len({row["digests"]["tests"] for row in rows}) == 1
    assert {row["counts"]["anomalous"] for row in rows} == {7}


def test_copies_of_anomalous_unlabeled_photos_are_not_measured(toy: Preset, tmp_path: Path) -> None:
    some = category()
    copies = [replace(test, image=replace(test.image, name=f"copy-{test.image.name}")) for test in some.tests]
    some = replace(some, tests=(*some.tests, *(copy for copy in copies if copy.label)))
    arms = banks(toy, tmp_path, some, held=1)
    arm = Arm.parse(f"unlabeled-blind:{STREAM}")
    tested = {pixel_digest(image) for image in some.queries.take(arms.tested(arm))}
    assert arms.tested(arm) == arms.tested(Arm.parse("none"))
    assert tested.isdisjoint(looks(arms.pool(arm))[3:])


def test_a_plan_without_unlabeled_photos_measures_all_images_and_records_what_it_did(toy: Preset) -> None:
    usual = plan(toy, "none", "augmented:4")
    assert (usual.held, usual.streams) == (0, False)
    assert not any("unlabeled" in name for name in usual.deciding())


def test_a_folder_in_which_other_test_images_were_left_out_is_refused(measured: Path, toy: Preset) -> None:
    with pytest.raises(DataError, match="anomalous among unlabeled was 1, now 2"):
        evaluate(plan(toy, "unlabeled-blind:4@0.49"), measured)


def test_a_stream_that_leaves_nothing_to_measure_or_has_too_few_normals_is_refused(toy: Preset) -> None:
    few = replace(category(), tests=category().tests[:5])
    with pytest.raises(DataError, match=r"half of which must be left to measure; the arm unlabeled:4@0.25 takes 1"):
        plan(toy, f"unlabeled:{STREAM}", categories=(few,))
    with pytest.raises(DataError, match=r"4 normal images besides its references, the arm unlabeled:24@0.1 needs 22"):
        plan(toy, "unlabeled")


def test_softpatch_is_measured_with_detectors_that_leave_out_patches_and_else_refused(toy: Preset) -> None:
    arm = f"unlabeled-softpatch:{STREAM}"
    both = plan(toy, arm, detectors=("memory", "one-to-normal[branches=n+]"))
    assert [cell.detector.text for cell in both.cells(both.setups()[0])] == ["memory"]
    with pytest.raises(DataError, match="needs the detector memory"):
        plan(toy, arm, detectors=("one-to-normal[branches=n+]",))
    spec = DetectorSpec.parse("memory")
    assert CellPlan(both.setups()[0], spec, Arm.parse(arm)).key()["arm"] == arm


def test_patches_unlike_all_others_at_their_place_are_outliers() -> None:
    draw = torch.Generator().manual_seed(0)
    patches = torch.rand(1, 4, 4, 8, generator=draw) + 0.01 * torch.rand(6, 4, 4, 8, generator=draw)
    patches[2, 1, 3] += 1
    patches[4, 0, 0] += 1
    outliers = (~inliers(patches, 2 / 96)).nonzero().tolist()
    assert outliers == [[2, 1, 3], [4, 0, 0]]
    assert inliers(patches, 0.0).all()


def test_left_out_patches_are_not_in_the_bank(toy: Preset, tmp_path: Path) -> None:
    some = category()
    references, pool = shots(Setup(some, 2, 0)), banks(toy, tmp_path, some).pool(Arm.parse(ARMS[3]))
    assert pool is not None
    memory = PatchMemory(drop=0.15).fit(references, pool)
    assert memory.fitted_ is not None
    patches = torch.cat(
        [joined_patches(memory.fitted_.network, part) for part in pool.images.batches(memory.fitted_.network.size)]
    )
    left_out = ~inliers(patches, 0.15)
    apart = memory.predict(pool.images).anomaly_maps
    assert left_out.float().mean() == pytest.approx(0.15, abs=0.01)
    assert apart[~left_out].max() < 0.01
    assert apart[left_out].min() > 0.01


def test_memories_that_share_photos_score_the_same_and_search_each_photo_once(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, kept, searched = category(), KeptMaps(block=1), list[int]()
    references, arms = shots(Setup(some, 2, 0)), banks(toy, tmp_path, some)
    pools = [arms.pool(Arm.parse(arm)) for arm in ("none", ARMS[3], ARMS[5])]
    alone = [PatchMemory().fit(references, pool).predict(some.queries) for pool in pools]
    nearest = PatchBank.nearest

    def counted(self: PatchBank, queries: list[torch.Tensor]) -> list[torch.Tensor]:
        searched.append(len(self.levels[0]) * len(queries[0]))
        return nearest(self, queries)

    monkeypatch.setattr(PatchBank, "nearest", counted)
    shared = [PatchMemory(kept=kept).fit(references, pool).predict(some.queries) for pool in pools]
    for one, other in zip(alone, shared, strict=True):
        assert torch.allclose(one.anomaly_maps, other.anomaly_maps, atol=1e-6)
    assert sum(searched) == len(some.tests) * (2 + 4)


def row(values: dict[str, float], stream: str = "24@0.1", **which: Any) -> list[dict[str, Any]]:
    """A cell per arm beside one stream."""
    extra = {"none": 0, "unlabeled": 20, "augmented": 20, "unlabeled-blind": 24, "unlabeled-oracle": 22}
    return [
        cell(value, arm=arm if arm == "none" else f"{arm}:{stream}", extra=extra[arm], **which)
        for arm, value in values.items()
    ]


def test_the_table_of_unlabeled_photos_has_gains_by_stream_and_the_share_of_the_oracle() -> None:
    cells = []
    for seed, more in enumerate((0.04, 0.08, 0.06)):
        values = {"none": 0.6, "augmented": 0.6, "unlabeled": 0.6 + more, "unlabeled-blind": 0.61}
        cells += row(values | {"unlabeled-oracle": 0.6 + 2 * more}, seed=seed)
        cells += row({"augmented": 0.6, "unlabeled": 0.7}, "24@0.2", seed=seed)
    table = named(cells, "unlabeled")
    texts = [dict(zip((name for _, name in table.heads), texts, strict=True)) for texts in table.rows]
    assert [(text["unlabeled photos"], text["kept"], text["seeds"]) for text in texts] == [
        ("24@0.1", "20", "3"),
        ("24@0.2", "20", "3"),
    ]
    assert texts[0]["unlabeled - augmented"] == "+6.0 [+4.0, +8.0]"
    assert texts[0]["unlabeled - unlabeled-blind"] == "+5.0 [+3.0, +7.0]"
    assert texts[0]["share of oracle"] == "50 % [50, 50]"
    assert (texts[1]["unlabeled - augmented"], texts[1]["share of oracle"]) == ("+10.0 [+10.0, +10.0]", "-")
    assert texts[1]["unlabeled - none"] == "+10.0 [+10.0, +10.0]"


def test_the_share_of_the_oracle_is_a_ratio_of_means_over_what_all_three_were_measured_with() -> None:
    own, best = [0.02, 0.10, 0.06, 0.02], [0.05, 0.10, 0.10, 0.15]
    cells = [row for seed in range(4) for row in thrice(seed, own[seed], best[seed])] + thrice(4, 0.4, 0.1)[:2]
    result = share(frame(cells), "unlabeled", "unlabeled-oracle", "augmented")
    assert result is not None
    assert result[0] == pytest.approx(0.5)
    draw = np.random.default_rng(5).integers(4, size=(20000, 4))
    ratios = np.array(own)[draw].mean(1) / np.array(best)[draw].mean(1)
    assert result[1:] == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])), abs=0.02)


def test_where_the_oracle_gains_nothing_there_is_no_share() -> None:
    assert share(frame(thrice(0, 0.1, -0.1)), "unlabeled", "unlabeled-oracle", "augmented") is None


def thrice(seed: int, own: float, best: float) -> list[dict[str, Any]]:
    values = {"augmented": 0.5, "unlabeled": 0.5 + own, "unlabeled-oracle": 0.5 + best}
    return [cell(value, arm=arm, seed=seed) for arm, value in values.items()]


def test_the_study_of_unlabeled_photos_has_an_augmented_arm_of_the_same_size() -> None:
    arms = [Arm.parse(text) for text in STUDIES["unlabeled"].arms]
    beside = {arm.text.partition(":")[2] for arm in arms if arm.kind != "none"}
    assert beside == {"24@0.1"}
