"""Pools with the gate on: what is rejected, where it lies, and that nothing of it depends on being killed."""

import json
import re
from pathlib import Path

import datasets
import pytest
from conftest import SMALL

from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.tiny.tiny_parts import new_tiny
from normalgen.errors import DataError, NothingKept
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import fill_pool
from normalgen.pool.journal import REJECTED, record_folder
from normalgen.quality.gate import REASONS
from normalgen.references import References
from normalgen.settings.presets import Preset, change


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of the images, rows and cut-offs of a pool and its records."""
    wanted = (".png", ".jsonl")
    both = {"": folder, "records/": record_folder(folder)}
    return {
        f"{prefix}{path.relative_to(inside)}": path.read_bytes()
        for prefix, inside in both.items()
        for path in inside.rglob("*")
        if path.suffix in wanted or path.name == "gate.json"
    }


@pytest.fixture
def gated(small: Preset) -> NormalModel:
    """Half of its pool are plain augmented photos, which pass; what an untrained model restores does not."""
    settings = change(small, pool={"gate": True, "mix": 1.0, "plain": 0.5, "budget": 3.0, "group": 2})
    return NormalModel(new_tiny(SMALL, seed=1), settings, category="good", noun="part")


def make(model: NormalModel, references: References, folder: Path, n: int = 2) -> Pool:
    return fill_pool(model, references, n, folder)


def test_rejected_images_lie_where_no_loader_looks(gated: NormalModel, references: References, tmp_path: Path) -> None:
    pool = make(gated, references, tmp_path / "p")
    rejected = pool.rejected()
    assert rejected
    assert all(
        each.path.parent == record_folder(tmp_path / "p") / REJECTED and each.path.is_file() for each in rejected
    )
    assert {each.reason for each in rejected} <= set(REASONS)
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train")
    assert [row["index"] for row in loaded] == [row["index"] for row in pool.rows]


def test_a_pool_ends_when_enough_are_kept_or_the_budget_is_spent(
    gated: NormalModel, references: References, tmp_path: Path
) -> None:
    pool = make(gated, references, tmp_path / "p")
    assert len(pool) == 2 or len(pool) + len(pool.rejected()) == 6
    small = make(gated.using(change(gated.preset, pool={"plain": 0.25, "budget": 2.0})), references, tmp_path / "q", 3)
    assert len(small) + len(small.rejected()) == 6
    assert len(small) < 3


def test_a_gate_that_keeps_none_says_what_to_do(gated: NormalModel, references: References, tmp_path: Path) -> None:
    with pytest.raises(NothingKept, match="kept none of 4 candidates"):
        make(gated.using(change(gated.preset, pool={"plain": 0.0, "budget": 2.0})), references, tmp_path / "p")


def test_candidates_are_judged_once_each_and_booked(gated: NormalModel, references: References, tmp_path: Path) -> None:
    pool = make(gated, references, tmp_path / "p")
    lines = (tmp_path / "p.normalgen/candidates.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["index"] for row in rows] == list(range(len(pool) + len(pool.rejected())))
    assert all(row["kept"] == (row["reason"] == "") for row in rows)
    assert all(set(row["numbers"]) >= {"stray", "defect", "copy", "seam", "sharpness"} for row in rows)


def test_kept_rows_name_their_nearest(gated: NormalModel, references: References, tmp_path: Path) -> None:
    rows = make(gated, references, tmp_path / "p").rows
    names = [row["file_name"] for row in rows]
    assert rows[0]["nearest_pool"] == ""
    assert all(row["nearest_pool"] in names[:place] for place, row in enumerate(rows) if place)
    assert {row["nearest_reference"] for row in rows} <= set(references.images.names)


@pytest.mark.parametrize("damage", ["candidates", "metadata", "image"])
def test_a_killed_gated_run_ends_as_if_it_had_not_been(
    gated: NormalModel, references: References, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "p"
    make(gated, references, folder)
    whole = contents(folder)
    match damage:
        case "image":
            sorted((folder / "images").iterdir())[-1].unlink()
        case name:
            path = next(tmp_path.rglob(f"{name}.jsonl"))
            path.write_bytes(path.read_bytes()[:-20])
    make(gated, references, folder)
    assert contents(folder) == whole


def test_a_pool_judged_with_other_features_is_not_continued(
    gated: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(gated, references, tmp_path / "p")
    recorded = json.loads((record_folder(tmp_path / "p") / "run.json").read_text())["settings"]["pool.gate_features"]
    assert re.fullmatch(r"cnn:1,2,3@[0-9a-f]{8} at 256 px", recorded)
    monkeypatch.setattr("normalgen.pool.recorded.opened", lambda features: "others")
    with pytest.raises(DataError, match=f'--gate-features was "{recorded}", now "others"'):
        make(gated, references, tmp_path / "p", 3)


def test_a_pool_without_the_gate_needs_no_features_for_it(
    gated: NormalModel, references: References, tmp_path: Path
) -> None:
    ungated = gated.using(change(gated.preset, pool={"gate": False, "gate_features": "no such features"}))
    assert len(make(ungated, references, tmp_path / "p")) == 2


def test_a_gated_pool_that_grew_is_as_if_made_at_once(
    gated: NormalModel, references: References, tmp_path: Path
) -> None:
    for n in (2, 3):
        make(gated, references, tmp_path / "grown", n)
    make(gated, references, tmp_path / "whole", 3)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_a_pool_that_was_being_cleared_when_killed_leaves_nothing_to_the_next(
    gated: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rejected candidates that an old pool begins with would count as judged in the new one."""

    def raising(*_: object) -> None:
        raise KeyboardInterrupt

    other = gated.using(change(gated.preset, pool={"strength": 0.25}))
    make(other, references, tmp_path / "whole")
    assert not json.loads((tmp_path / "whole.normalgen/candidates.jsonl").read_text().splitlines()[0])["kept"]
    make(gated.using(change(gated.preset, pool={"plain": 0.25})), references, tmp_path / "p")
    with monkeypatch.context() as patch:
        patch.setattr("normalgen.pool.generate.write_record", raising)
        with pytest.raises(KeyboardInterrupt):
            fill_pool(other, references, 2, tmp_path / "p", overwrite=True)
    fill_pool(other, references, 2, tmp_path / "p", overwrite=True)
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")
    assert not list(tmp_path.rglob(".gone-*"))
