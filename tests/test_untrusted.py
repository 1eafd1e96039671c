"""Nothing that a file says is believed: paths, weights and names in files that somebody damaged, edited or renamed."""

import json
import shutil
from pathlib import Path

import pytest
import tiny_sets
import torch
from conftest import drawn
from detecting import detect, run
from safetensors.torch import load_file, save_file

from normalgen.customizing.dreambooth import fine_tune
from normalgen.data.manifest import read_manifest
from normalgen.data.readers.visa import visa_category
from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, MissingWeights, NormalgenError
from normalgen.images.images import Images
from normalgen.io.atomic import write_json
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import fill_pool
from normalgen.pool.inspection import pool_faults
from normalgen.pool.origin import in_recorded_order
from normalgen.references import References, from_manifest, write_manifest
from normalgen.settings.presets import Preset, change


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_overwriting_a_model_removes_its_own_files_alone(references: References, small: Preset, tmp_path: Path) -> None:
    model, precious = tmp_path / "model", tmp_path / "precious"
    fine_tune(references, change(small, train={"steps": 1}), model)
    for path in (precious / "thesis.txt", model / "mine" / "notes.txt", model / "my.safetensors"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    (model / "unet").symlink_to(precious)
    (precious / "config.json").write_text("precious")
    names = ["../precious", str(precious), ".", "mine", "unet"]
    write_json(model / "model_index.json", {name: ["diffusers", "X"] for name in names})
    before = contents(precious)
    fine_tune(references, change(small, train={"steps": 2}), model, overwrite=True)
    assert contents(precious) == before
    assert (model / "mine" / "notes.txt").read_text() == (model / "my.safetensors").read_text() == "precious"
    assert not (model / "model_index.json").exists()


def test_detect_removes_nothing_that_an_edited_record_lists(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect("--branches", "n", "-n", "0") == 0
    precious = here / "precious.png"
    precious.write_text("all of it")
    (here / "out/maps/link.png").symlink_to(precious)
    (here / "out/elsewhere").symlink_to(here)
    (here / "out/notes.txt").write_text("mine")
    record = json.loads((here / "out/run.json").read_text())
    record.pop("sha256")
    listed = ["../precious.png", str(precious), "elsewhere/precious.png", "maps/link.png", "notes.txt", "maps", "."]
    write_json(here / "out/run.json", record | {"files": [*listed, *record["files"]]})
    assert detect("--branches", "n", "-n", "0") == 0
    assert precious.read_text() == "all of it"
    assert (here / "out/maps/link.png").is_symlink()
    assert (here / "out/notes.txt").read_text() == "mine"
    write_json(here / "out/run.json", json.loads((here / "out/run.json").read_text()) | {"files": 3})
    assert detect("--branches", "n", "-n", "0") == 1
    assert "run.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../secret.png", "{root}/secret.png", "images/out.png", "images/../../secret.png"])
def test_a_pool_never_reads_outside_its_folder(
    model: NormalModel, references: References, tmp_path: Path, name: str
) -> None:
    fill_pool(model, references, 2, tmp_path / "pool")
    shutil.rmtree(tmp_path / "pool.normalgen")  # so that types and paths alone are left to check
    drawn(9).save(tmp_path / "secret.png")
    (tmp_path / "pool/images/out.png").symlink_to(tmp_path / "secret.png")
    rows = [json.loads(line) for line in (tmp_path / "pool/metadata.jsonl").read_text().splitlines()]
    rows[1]["file_name"] = name.format(root=tmp_path)
    (tmp_path / "pool/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="which is not a path inside"):
        Pool.load(tmp_path / "pool")


@pytest.mark.parametrize("name", ["../secret.JPG", "{root}/secret.JPG"])
def test_a_table_never_names_files_outside_its_folder(tmp_path: Path, name: str) -> None:
    root = tiny_sets.visa(tmp_path / "visa")
    drawn(1).save(tmp_path / "secret.JPG")
    table = root / "split_csv/1cls.csv"
    table.write_text(table.read_text().replace("candle/Data/Images/Normal/0000.JPG", name.format(root=tmp_path)))
    with pytest.raises(DataError, match="which is not a path inside"):
        visa_category(root, "candle")


def poisoned(file: Path) -> None:
    tensors = load_file(file)
    name = next(name for name, value in tensors.items() if value.is_floating_point() and value.numel() > 1)
    tensors[name].view(-1)[1] = torch.nan
    save_file(tensors, file)


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("harm", [poisoned, flipped])
def test_weights_that_are_not_those_that_were_saved_are_refused(
    references: References, small: Preset, tmp_path: Path, harm: object
) -> None:
    assert callable(harm)
    settings = change(small, train={"steps": 1})
    fine_tune(references, settings, tmp_path / "m")
    harm(tmp_path / "m/tiny.safetensors")
    with pytest.raises(MissingWeights, match=r"tiny\.safetensors is damaged"):
        NormalModel.load(tmp_path / "m")
    OneToNormal(branches=("n",)).fit(references).save(tmp_path / "d")
    harm(tmp_path / "d/detector.safetensors")
    with pytest.raises(MissingWeights, match=r"detector\.safetensors is missing or damaged"):
        OneToNormal.load(tmp_path / "d")


def test_weights_without_a_digest_must_still_be_finite(prior: Path, tmp_path: Path) -> None:
    shutil.copytree(prior, tmp_path / "prior")
    sizes = json.loads((prior / "tiny.json").read_text())
    write_json(tmp_path / "prior/tiny.json", {k: v for k, v in sizes.items() if k not in ("sha256", "weights")})
    poisoned(tmp_path / "prior/tiny.safetensors")
    with pytest.raises(MissingWeights, match="holds values that are not finite"):
        open_parts(str(tmp_path / "prior"))


@pytest.mark.parametrize("gone", [("vocab.json", "merges.txt"), ("vocab.json",), ("merges.txt",)])
def test_a_stable_diffusion_without_its_tokenizer_is_refused(
    stable_folder: Path, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    shutil.copytree(stable_folder, tmp_path / "sd")
    for name in gone:
        (tmp_path / "sd/tokenizer" / name).unlink()
    with pytest.raises(NormalgenError, match=r"tokenizer is missing or damaged"):
        open_parts(str(tmp_path / "sd"))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"half"])
def test_a_damaged_checkpoint_costs_its_steps_and_no_more(
    references: References, small: Preset, tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fine_tune(references, small, tmp_path / "whole")
    fine_tune(references, small, tmp_path / "again")
    (tmp_path / "again/preset.json").unlink()
    (tmp_path / "again/checkpoint.pt").write_bytes(data)
    again = fine_tune(references, small, tmp_path / "again")
    assert again.digest == NormalModel.load(tmp_path / "whole").digest
    assert "checkpoint.pt is damaged" in caplog.text
    assert not (tmp_path / "again/checkpoint.pt").exists()


@pytest.mark.parametrize("damage", ["empty", "half", "middle", "image", "gone"])
def test_a_damaged_pool_never_shrinks_in_silence_and_the_same_call_mends_it(
    model: NormalModel, references: References, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "pool"
    fill_pool(model, references, 6, folder)
    whole, rows = contents(folder), folder / "metadata.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    match damage:
        case "empty":
            rows.write_bytes(b"")
        case "half":
            rows.write_bytes(rows.read_bytes()[:-30])
        case "middle":
            rows.write_bytes(b"".join([*lines[:2], b'{"broken\n', *lines[3:]]))
        case "image":
            flipped(folder / "images/00002.png")
        case _:
            (folder / "images/00002.png").unlink()
    with pytest.raises(DataError, match=rf"normalgen pool check {folder}"):
        list(Pool.load(folder).images)
    assert len(pool_faults(folder)) >= 1
    assert run("pool", "check", str(folder)) == 1
    fill_pool(model, references, 6, folder)
    assert contents(folder) == whole
    assert pool_faults(folder) == []
    assert run("pool", "check", str(folder)) == 0


def test_renamed_photos_keep_their_rows_their_order_and_the_threshold(
    model: NormalModel, photos: Path, tmp_path: Path
) -> None:
    references = References(Images.from_folder(photos).take([0, 1]).kept(), "good", "part", 0, 6)
    pool = fill_pool(model, references, 4, tmp_path / "pool")
    first = OneToNormal(branches=("n",)).fit(references, pool)
    write_manifest(references, tmp_path / "shots.json")
    for old, new in (("0.png", "z.png"), ("1.png", "a.png")):
        (photos / old).rename(photos / new)
    images = Images.from_folder(photos)
    again = References(images.take([images.names.index(name) for name in ("a.png", "z.png")]), "good", "part", 0, 6)
    swapped = Known.of(again, pool, 32, 0).sources[2:]
    assert [{0: 1, 1: 0, -1: -1}[place] for place in swapped] == [*Known.of(references, pool, 32, 0).sources[2:]]
    assert {0, 1} <= {*swapped}
    ordered = in_recorded_order(again, tmp_path / "nothing", tmp_path / "pool")
    assert ordered.images.hashes() == references.images.hashes()
    assert torch.equal(OneToNormal(branches=("n",)).fit(ordered, pool).left_out, first.left_out)
    assert len(fill_pool(model, ordered, 5, tmp_path / "pool")) == 5
    found = from_manifest(images, read_manifest(tmp_path / "shots.json"), category="good", noun="part")
    assert found.images.names == ["z.png", "a.png"]


def test_the_detect_command_that_made_a_pool_mends_it_and_others_name_the_check(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--branches", "n", "-n", "2")
    assert detect(*words) == 0
    whole = contents(here / "pools/good")
    for damage in (b"", whole["metadata.jsonl"][:-20]):
        (here / "pools/good/metadata.jsonl").write_bytes(damage)
        capsys.readouterr()
        assert detect(*words, "--pool", "pools/good") == 1
        assert "normalgen pool check pools/good" in capsys.readouterr().err
        assert detect(*words) == 0
        assert "are missing or damaged, and are made again" in capsys.readouterr().err
        assert contents(here / "pools/good") == whole


def test_text_maps_are_refused_before_any_training_if_they_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    words = ["--data", str(tiny_sets.mvtec(tmp_path / "set", "nut")), "--out", str(tmp_path / "file/text.safetensors")]
    assert run("train-text", *words) == 1
    assert "file is a file; choose another" in capsys.readouterr().err
