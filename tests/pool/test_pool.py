import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import torch
from filelock import FileLock
from PIL import Image

from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import draw_shard, fill_pool
from normalgen.pool.plan import candidate
from normalgen.pool.workers import Shard
from normalgen.references import References
from normalgen.settings.presets import Preset, change


def contents(folder: Path) -> dict[str, bytes]:
    files = [*sorted((folder / "images").iterdir()), folder / "metadata.jsonl", folder / "README.md"]
    return {path.name: path.read_bytes() for path in files}


def make(model: NormalModel, references: References, folder: Path, n: int = 6, **options: object) -> Pool:
    return fill_pool(model, references, n, folder, **options)  # type: ignore[arg-type]


def test_a_pool_is_images_metadata_card_and_run(model: NormalModel, references: References, tmp_path: Path) -> None:
    pool = make(model, references, tmp_path / "p")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["README.md", "images", "metadata.jsonl"]
    assert len(pool) == len(list((tmp_path / "p" / "images").iterdir())) == 6
    assert pool.images[3].size == (32, 32)
    run = json.loads((tmp_path / "p.normalgen" / "run.json").read_text())
    assert run["settings"]["model"] == model.digest
    assert run["references"]["references"][0]["name"] == "0.png"


def test_rows_say_how_each_image_was_made(model: NormalModel, references: References, tmp_path: Path) -> None:
    rows = make(model, references, tmp_path / "p").rows
    assert [row["index"] for row in rows] == list(range(6))
    assert {row["mode"] for row in rows} == {"txt2img", "img2img"}
    assert all((row["reference"] == "") == (row["mode"] == "txt2img") == (row["strength"] == 1.0) for row in rows)
    assert all(row["label"] == 0 and row["category"] == "good" and "normal part" in row["prompt"] for row in rows)


def test_same_seed_same_pool(model: NormalModel, references: References, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(model, references, tmp_path / name, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_pool_that_grew_is_as_if_made_at_once(model: NormalModel, references: References, tmp_path: Path) -> None:
    for n in (1, 3, 6, 9):
        assert len(make(model, references, tmp_path / "grown", n)) == n
    make(model, references, tmp_path / "whole", 9)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_a_smaller_n_keeps_what_is_there(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    make(model, references, folder, 6)
    assert len(make(model, references, folder, 2)) == 6


@pytest.mark.parametrize(
    "damage", ["half a row", "no newline", "image missing", "stray partial", "middle image missing"]
)
def test_what_a_killed_run_left_is_mended(
    model: NormalModel, references: References, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "p"
    make(model, references, folder)
    whole = contents(folder)
    rows = folder / "metadata.jsonl"
    match damage:
        case "half a row":
            rows.write_bytes(rows.read_bytes()[:-40])
        case "no newline":
            rows.write_bytes(rows.read_bytes()[:-1])
        case "image missing":
            (folder / "images" / "00005.png").unlink()
        case "stray partial":
            (folder / "images" / ".00006.png.partial").write_bytes(b"half")
        case _:
            (folder / "images" / "00002.png").unlink()
    make(model, references, folder)
    assert contents(folder) == whole


def test_plain_load_dataset_reads_every_column(model: NormalModel, references: References, tmp_path: Path) -> None:
    pool = make(model, references, tmp_path / "p")
    Image.new("RGB", (8, 8)).save(tmp_path / "p.normalgen" / "contact_sheet.png")
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train")
    assert loaded.features == pool.dataset.features
    assert loaded.remove_columns("image").to_list() == pool.dataset.remove_columns("image").to_list()
    assert loaded[4]["image"].tobytes() == pool.images[4].tobytes() == pool.dataset[4]["image"].tobytes()


def test_two_pools_of_one_name_and_a_grown_one_are_not_mixed_up(
    model: NormalModel, references: References, tmp_path: Path
) -> None:
    for seed, folder in enumerate(("a", "b")):
        make(model, references, tmp_path / folder / "p", seed=seed)
    loaded = [datasets.load_dataset(str(tmp_path / folder / "p"), split="train") for folder in ("a", "b")]
    assert [rows["seed"][0] for rows in loaded] == [0, 1]
    make(model, references, tmp_path / "a" / "p", 8)
    assert len(datasets.load_dataset(str(tmp_path / "a" / "p"), split="train")) == 8


def test_other_settings_are_refused_by_name(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    make(model, references, folder)
    other = model.using(change(model.preset, pool={"strength": 0.75}))
    with pytest.raises(DataError, match=r"strength was 0\.5, now 0\.75"):
        make(other, references, folder)
    assert len(make(other, references, folder, 2, overwrite=True)) == 2


@pytest.mark.parametrize(
    "changes",
    [{"pool": {"mix": 1.0}}, {"pool": {"strength": 0.25}}, {"pool": {"prompts": 10}}, {"augment": "none"}],
)
def test_every_setting_changes_the_pool(
    model: NormalModel, references: References, tmp_path: Path, changes: dict[str, object]
) -> None:
    make(model, references, tmp_path / "a")
    make(model.using(change(model.preset, **changes)), references, tmp_path / "b")
    assert contents(tmp_path / "a")["metadata.jsonl"] != contents(tmp_path / "b")["metadata.jsonl"] or (
        contents(tmp_path / "a")["00001.png"] != contents(tmp_path / "b")["00001.png"]
    )


def test_a_second_process_is_refused(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder, records = tmp_path / "p", tmp_path / "p.normalgen"
    records.mkdir()
    with FileLock(records / ".lock"):
        code = f"from filelock import FileLock; FileLock({str(records / '.lock')!r}).acquire(timeout=0)"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
        with pytest.raises(DataError, match="another process"):
            make(model, references, folder)


def test_a_model_of_another_category_is_refused(model: NormalModel, references: References, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'good'.*'screw'"):
        make(model, replace(references, category="screw"), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_folder_of_other_files_is_left_alone(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        make(model, references, folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    assert not (folder / "images").exists()


def test_n_below_one_is_refused(model: NormalModel, references: References, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got 0"):
        make(model, references, tmp_path / "p", 0)


def test_loading_says_what_is_missing(model: NormalModel, references: References, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="normalgen generate"):
        Pool.load(tmp_path / "nothing")
    make(model, references, tmp_path / "p")
    (tmp_path / "p" / "images" / "00001.png").unlink()
    with pytest.raises(DataError, match=r"00001\.png"):
        Pool.load(tmp_path / "p")


@pytest.mark.parametrize("plain", [0.0, 0.2, 0.5, 1.0])
def test_plain_augmented_references_come_in_their_share(small: Preset, plain: float) -> None:
    plans = [candidate(i, change(small, pool={"plain": plain}), 4) for i in range(100)]
    modes = Counter(plan.mode for plan in plans)
    assert modes["augmented"] == 100 * plain
    assert modes["img2img"] == modes["txt2img"]
    assert len({plan.reference for plan in plans if plan.mode == "augmented"}) == (4 if plain else 0)


def test_a_plain_image_is_its_augmented_reference(model: NormalModel, references: References, tmp_path: Path) -> None:
    plain = model.using(change(model.preset, pool={"plain": 1.0}, augment="none"))
    pool = make(plain, references, tmp_path / "p", 2)
    assert {(row["mode"], row["strength"]) for row in pool.rows} == {("augmented", 0.0)}
    assert torch.equal(pool.images.pixels(32), references.images.pixels(32))


def test_a_plain_pool_is_the_same_without_a_model(model: NormalModel, references: References, tmp_path: Path) -> None:
    plain = change(model.preset, pool={"plain": 1.0})
    make(model.using(plain), references, tmp_path / "with")
    fill_pool(plain, references, 6, tmp_path / "without")
    assert contents(tmp_path / "with") == contents(tmp_path / "without")
    assert {row["model"] for row in Pool.load(tmp_path / "without").rows} == {""}
    for shard in ("1/2", "2/2"):
        draw_shard(plain, references, 6, tmp_path / "shards", Shard.parse(shard))
    assert contents(tmp_path / "shards") == contents(tmp_path / "without")


def test_a_preset_alone_cannot_draw(small: Preset, references: References, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its pool\.plain is 0\.5; give a model"):
        fill_pool(change(small, pool={"plain": 0.5}), references, 2, tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("mix", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_modes_come_in_the_stated_mix(small: Preset, mix: float) -> None:
    plans = [candidate(i, change(small, pool={"mix": mix}), 4) for i in range(100)]
    assert sum(plan.mode == "img2img" for plan in plans) == 100 * mix


def test_references_and_prompts_come_in_turn(small: Preset) -> None:
    plans = [candidate(i, change(small, pool={"mix": 1.0}), 4) for i in range(24)]
    assert set(Counter(plan.reference for plan in plans).values()) == {6}
    assert len({(plan.reference, plan.prompt) for plan in plans}) == 12


def test_the_card_has_no_configs_block(model: NormalModel, references: References, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    make(model, references, folder)
    card = (folder / "README.md").read_text()
    header = card.split("---")[1]
    assert "configs" not in header
    assert "| mode |" in card


def test_foreign_metadata_is_not_taken_for_a_pool(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"text": "hello"}\n')
    with pytest.raises(DataError, match=r"is damaged: metadata\.jsonl: line 1 is damaged .*normalgen pool check"):
        Pool.load(tmp_path)


def test_a_pool_of_one_image_loads_too(model: NormalModel, references: References, tmp_path: Path) -> None:
    make(model, references, tmp_path / "p", 1)
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train")
    assert loaded[0]["image"].size == (32, 32)
    assert loaded[0]["index"] == 0


def test_overwrite_keeps_a_pool_of_the_same_settings(
    model: NormalModel, references: References, tmp_path: Path
) -> None:
    make(model, references, tmp_path / "p", 2)
    before = (tmp_path / "p" / "images" / "00000.png").stat().st_mtime_ns
    make(model, references, tmp_path / "p", 3, overwrite=True)
    assert (tmp_path / "p" / "images" / "00000.png").stat().st_mtime_ns == before


def test_what_people_add_to_the_card_stays(model: NormalModel, references: References, tmp_path: Path) -> None:
    make(model, references, tmp_path / "p", 2)
    with (tmp_path / "p" / "README.md").open("a") as card:
        card.write("Mine.\n")
    make(model, references, tmp_path / "p", 3)
    assert (tmp_path / "p" / "README.md").read_text().endswith("Mine.\n")


def test_prompts_have_the_noun_of_the_model(model: NormalModel, references: References, tmp_path: Path) -> None:
    pool = make(model, replace(references, noun="nut"), tmp_path / "p", 2)
    assert all("normal part" in row["prompt"] for row in pool.rows)
