"""Several workers make the pool that one makes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from normalgen.cli import main
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.pool import Pool, Shard, draw_shard, generate_pool, merge_pool
from normalgen.pool.ledger import DRAWN
from normalgen.record import locked
from normalgen.references import References


@pytest.fixture
def gated(model: NormalModel) -> NormalModel:
    """Half of its candidates are plain augmented references, which the gate keeps; it rejects the noise."""
    return model.using(replace(model.preset, gate=True, plain=0.5, budget=4.0, size=32, group=4))


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def draw(model: NormalModel, references: References, folder: Path, shard: str, n: int = 10) -> Pool | None:
    return draw_shard(model, references, n, folder, Shard.parse(shard))


@pytest.mark.parametrize("order", ["3/4 1/4 4/4 2/4"])
def test_four_workers_make_the_bytes_of_one(
    gated: NormalModel, references: References, tmp_path: Path, order: str
) -> None:
    whole = generate_pool(gated, references, 14, tmp_path / "whole")
    *first, last = [draw(gated, references, tmp_path / "shards", shard, 14) for shard in order.split()]
    assert first == [None] * 3
    assert last is not None
    assert last.rows == whole.rows
    assert whole.rejected()
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_without_a_gate_too_and_a_pool_can_grow(model: NormalModel, references: References, tmp_path: Path) -> None:
    generate_pool(model, references, 11, tmp_path / "whole")
    for n in (5, 11):
        for shard in ("1/2", "2/2"):
            draw(model, references, tmp_path / "shards", shard, n)
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_merge_needs_no_model_and_workers_go_on(gated: NormalModel, references: References, tmp_path: Path) -> None:
    whole = generate_pool(gated, references, 10, tmp_path / "whole")
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
    whole = generate_pool(model, references, 10, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(model, references, folder, "1/2")
    (folder / DRAWN / "00001.png").unlink()
    assert draw(model, references, folder, "2/2") is None
    pool = draw(model, references, folder, "1/2")
    assert pool is not None
    assert pool.rows == whole.rows


def test_one_worker_takes_up_what_others_have_drawn(
    model: NormalModel, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generate_pool(model, references, 6, tmp_path / "whole")
    folder = tmp_path / "shards"
    draw(model, references, folder, "1/2", 6)
    assert generate_pool(model, references, 6, folder).rows == whole.rows
    assert contents(folder) == contents(tmp_path / "whole")


def test_workers_that_disagree_are_told(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    draw(model, references, folder, "1/4")
    with pytest.raises(DataError, match="4 workers are drawing 10 images"):
        draw(model, references, folder, "2/3")
    with pytest.raises(DataError, match="4 workers are drawing 10 images"):
        draw(model, references, folder, "2/4", 12)
    with locked(folder / DRAWN / "2-of-4"), pytest.raises(DataError, match="another process is writing"):
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
