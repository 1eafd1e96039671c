"""Several workers make the pool that one makes."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from normalgen.cli import main
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.io.run_folder import locked, read_record
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import draw_shard, fill_pool, merge_pool
from normalgen.pool.journal import RUN, drawn_folder, record_folder
from normalgen.pool.plan import draw_group
from normalgen.pool.workers import Shard
from normalgen.references import References
from normalgen.settings.presets import change


@pytest.fixture
def gated(model: NormalModel) -> NormalModel:
    """Half of its candidates are plain augmented references, which the gate keeps; it rejects the noise."""
    return model.using(change(model.preset, pool={"gate": True, "plain": 0.5, "budget": 4.0, "group": 4}, size=32))


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a pool and its records."""
    both = {"": folder, "records/": record_folder(folder)}
    return {
        f"{prefix}{path.relative_to(inside)}": path.read_bytes()
        for prefix, inside in both.items()
        for path in inside.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def drawn(folder: Path) -> Path:
    return drawn_folder(folder, (read_record(record_folder(folder) / RUN) or {})["settings"])


def draw(model: NormalModel, references: References, folder: Path, shard: str, n: int = 10) -> Pool | None:
    return draw_shard(model, references, n, folder, Shard.parse(shard))


@pytest.mark.parametrize("order", ["3/4 1/4 4/4 2/4"])
def test_four_workers_make_the_bytes_of_one(
    gated: NormalModel, references: References, tmp_path: Path, order: str
) -> None:
    whole = fill_pool(gated, references, 14, tmp_path / "whole")
    *first, last = [draw(gated, references, tmp_path / "shards", shard, 14) for shard in order.split()]
    assert first == [None] * 3
    assert last is not None
    assert last.rows == whole.rows
    assert whole.rejected()
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_without_a_gate_too_and_a_pool_can_grow(model: NormalModel, references: References, tmp_path: Path) -> None:
    fill_pool(model, references, 11, tmp_path / "whole")
    for n in (5, 11):
        for shard in ("1/2", "2/2"):
            draw(model, references, tmp_path / "shards", shard, n)
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_merge_needs_no_model_and_workers_go_on(gated: NormalModel, references: References, tmp_path: Path) -> None:
    whole = fill_pool(gated, references, 10, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(gated, references, folder, "1/3")
    pool, wanted = merge_pool(folder)
    assert (wanted, 0 < len(pool) < 4) == (10, True)
    for shard in ("1/3", "2/3", "3/3"):
        draw(gated, references, folder, shard)
    assert Pool.load(folder).rows == whole.rows
    with pytest.raises(DataError, match="nothing drawn"):
        merge_pool(folder)


def test_a_killed_worker_is_run_again_and_redraws_what_is_missing(
    model: NormalModel, references: References, tmp_path: Path
) -> None:
    whole = fill_pool(model, references, 10, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(model, references, folder, "1/2")
    (drawn(folder) / "00001.png").unlink()
    assert draw(model, references, folder, "2/2") is None
    pool = draw(model, references, folder, "1/2")
    assert pool is not None
    assert pool.rows == whole.rows


def test_one_worker_takes_up_what_others_have_drawn(
    model: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fill_pool(model, references, 6, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(model, references, folder, "1/2", 6)
    assert fill_pool(model, references, 6, folder).rows == whole.rows
    assert contents(folder) == contents(tmp_path / "whole")


def test_workers_that_disagree_are_told(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    draw(model, references, folder, "1/4")
    with pytest.raises(DataError, match="4 workers are drawing 10 images"):
        draw(model, references, folder, "2/3")
    with pytest.raises(DataError, match="4 workers are drawing 10 images"):
        draw(model, references, folder, "2/4", 12)
    with locked(drawn(folder) / "2-of-4"), pytest.raises(DataError, match="another process is writing"):
        draw(model, references, folder, "2/4")


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="such as 2/4"):
        Shard.parse(text)


@pytest.mark.slow
def test_workers_on_two_devices_make_one_pool(
    photos: Path, prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    toy = f"--weights {prior} --size 32 --training-steps 2 --sampling-steps 10 --strength 0.1 --no-gate"
    words = ["generate", "good", "-n", "20", *toy.split()]
    with pytest.raises(SystemExit) as end:
        main([*words, "--out", "one", "--model", "one-model", "--device", "cpu"])
    assert not end.value.code
    several = [sys.executable, "-m", "normalgen", *words, "--out", "two", "--model", "two-model"]
    found = subprocess.run([*several, "--devices", "cpu,cpu"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "1/2 cpu | draw 1/2" in found.stderr
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_merge_ends_a_round_that_nobody_draws(gated: NormalModel, references: References, tmp_path: Path) -> None:
    fill_pool(gated, references, 10, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(gated, references, folder, "1/3")
    merge_pool(folder)
    for shard in ("1/2", "2/2"):
        draw(gated, references, folder, shard)
    assert contents(folder) == contents(tmp_path / "whole")


def test_merge_leaves_a_round_to_the_workers_that_draw(
    gated: NormalModel, references: References, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    draw(gated, references, folder, "1/3")
    with locked(drawn(folder) / "2-of-3"):
        merge_pool(folder)
        with pytest.raises(DataError, match=r"3 workers are drawing 10 images .* when none of them runs"):
            draw(gated, references, folder, "1/2")
    merge_pool(folder)
    assert draw(gated, references, folder, "1/2") is None


@pytest.mark.parametrize(("shard", "plain"), [("2/3", 0.5), ("1/3", 0.0)], ids=["none drawn", "none kept"])
def test_merge_tells_the_truth_of_a_pool_without_an_image_so_far(
    gated: NormalModel,
    references: References,
    tmp_path: Path,
    shard: str,
    plain: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = gated.using(change(gated.preset, pool={"plain": plain}))
    draw(model, references, tmp_path / "p", shard)
    with pytest.raises(SystemExit) as end:
        main(["pool", "merge", str(tmp_path / "p")])
    assert not end.value.code
    assert f"0 of 10 images: {tmp_path / 'p'}\nto continue, run the same generate command" in capsys.readouterr().out


def test_merge_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing drawn"):
        merge_pool(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_what_a_worker_draws_does_not_enter_a_pool_that_was_begun_again(
    model: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, folder = model.using(change(model.preset, pool={"strength": 0.75})), tmp_path / "p"
    began: list[bool] = []

    def drawing(*given: Any) -> Any:
        if not began:
            began.append(True)
            fill_pool(other, references, 2, folder, overwrite=True)
        return draw_group(*given)

    fill_pool(other, references, 10, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("normalgen.pool.filling.draw_group", drawing)
        with pytest.raises(DataError, match=r"made with other settings: --strength was 0\.75, now 0\.5"):
            draw(model, references, folder, "1/2")
    fill_pool(other, references, 10, folder)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_worker_whose_round_another_has_finished_has_the_pool(
    model: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    whole, began = fill_pool(model, references, 10, tmp_path / "whole"), list[bool]()

    def drawing(*given: Any) -> Any:
        if not began:
            began.append(True)
            fill_pool(model, references, 10, folder)
        return draw_group(*given)

    monkeypatch.setattr("normalgen.pool.filling.draw_group", drawing)
    pool = draw(model, references, folder, "1/2")
    assert pool is not None
    assert pool.rows == whole.rows
    assert contents(folder) == contents(tmp_path / "whole")


def test_workers_killed_while_they_tidy_up_are_gone_on_from(
    model: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_pool(model, references, 10, tmp_path / "whole")
    folder = tmp_path / "p"

    def killed(path: Path, ignore_errors: bool = False) -> None:
        next(Path(path).rglob("references.safetensors")).unlink()
        raise KeyboardInterrupt

    draw(model, references, folder, "1/2", 6)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            draw(model, references, folder, "2/2", 6)
    for shard in ("1/2", "2/2"):
        draw(model, references, folder, shard)
    assert contents(folder) == contents(tmp_path / "whole")


def test_what_is_not_finite_is_broken_through_a_shard_too(
    gated: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(self: NormalModel, images: Tensor, **given: Any) -> Tensor:
        made = images.clone()
        made[0, 0, 3, 3] = torch.nan
        return made

    monkeypatch.setattr(NormalModel, "restore", spoilt)
    model = gated.using(change(gated.preset, pool={"mix": 1.0}))
    whole = fill_pool(model, references, 6, tmp_path / "whole")
    assert "broken" in {each.reason for each in whole.rejected()}
    for shard in ("1/2", "2/2"):
        draw(model, references, tmp_path / "shards", shard, 6)
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")
    assert "NaN" not in (tmp_path / "whole.normalgen/candidates.jsonl").read_text()
