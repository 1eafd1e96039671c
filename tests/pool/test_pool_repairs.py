"""Pools with repaired photos: rows, bytes, card, contact sheet, and what is left out before photos are judged."""

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import torch
from conftest import drawn
from test_pool_photos import again, contents, judged

from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.images.images import Images, to_tensor
from normalgen.images.sources import as_images
from normalgen.pool.contact_sheet import PoolSheet
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import draw_shard, fill_pool, merge_pool
from normalgen.pool.journal import REPAIRED, record_folder
from normalgen.pool.leaks import without_judged
from normalgen.pool.repairs import Repairs, read_repairs, write_repairs
from normalgen.pool.rows import RepairedRow
from normalgen.pool.workers import Shard
from normalgen.references import References
from normalgen.settings.presets import Preset, change

Given = dict[str, Images | Repairs]


def repairs(folder: Path, size: int = 32) -> Repairs:
    """Two photos before, and after their upper left corner was repaired; in the records of the pool in `folder`."""
    before = [to_tensor(drawn(seed, size), size) for seed in (50, 51)]
    after = [image.clone() for image in before]
    for image in after:
        image[:, : size // 2, : size // 2] = 0.5
    photos = as_images([drawn(seed, size) for seed in (50, 51)])
    rows: list[RepairedRow] = [
        {"name": f"{digest[:4]}.png", "sha256": digest, "share": 0.25} for digest in photos.hashes()
    ]
    return write_repairs(record_folder(folder) / REPAIRED, rows, [*zip(before, after, strict=True)], {"seed": 0})


@pytest.fixture
def joining(tmp_path: Path) -> Callable[[str], Given]:
    """What joins the pool in the folder with this name: two photos that a screening kept, and two repaired ones."""
    return lambda name: {
        "photos": as_images([drawn(seed) for seed in (40, 41)]),
        "repaired": repairs(tmp_path / name),
    }


def test_repaired_photos_follow_the_photos(
    model: NormalModel, references: References, joining: Callable[[str], Given], tmp_path: Path
) -> None:
    given = joining("p")
    pool = fill_pool(model, references, 9, tmp_path / "p", **given)  # type: ignore[arg-type]
    assert [row["mode"] for row in pool.rows[:4]] == ["photo", "photo", "repaired", "repaired"]
    assert not {"photo", "repaired"} & {row["mode"] for row in pool.rows[4:]}
    assert [row["repaired_share"] for row in pool.rows] == [0, 0, 0.25, 0.25, *[0.0] * 5]
    kept = read_repairs(record_folder(pool.folder) / REPAIRED)
    assert kept is not None
    assert [row["reference_sha256"] for row in pool.rows[2:4]] == [row["sha256"] for row in kept.rows]
    assert [row["reference"] for row in pool.rows[2:4]] == [row["name"] for row in kept.rows]
    assert {row["reference_sha256"] for row in pool.rows[4:]} <= {*references.images.hashes(), ""}
    for image, repaired in zip(pool.images.take([2, 3]), kept.images, strict=True):
        assert image.tobytes() == repaired.tobytes()
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train")
    assert loaded["repaired_share"] == [row["repaired_share"] for row in pool.rows]
    card = (tmp_path / "p/README.md").read_text()
    assert "drawn again (mode `repaired`)" in card
    assert "| repaired_share |" in card


def test_growing_resuming_and_workers_make_the_same_bytes(
    model: NormalModel, references: References, joining: Callable[[str], Given], tmp_path: Path
) -> None:
    whole = fill_pool(model, references, 9, tmp_path / "whole", **joining("whole"))  # type: ignore[arg-type]
    for n in (1, 3, 9):
        fill_pool(model, references, n, tmp_path / "grown", **joining("grown"))  # type: ignore[arg-type]
    given = joining("p")
    draw_shard(model, references, 9, tmp_path / "p", Shard.parse("1/2"), **given)  # type: ignore[arg-type]
    assert [row["mode"] for row in merge_pool(tmp_path / "p")[0].rows[2:4]] == ["repaired"] * 2
    for number in (1, 2):
        draw_shard(model, references, 9, tmp_path / "p", Shard(number, 2), **given)  # type: ignore[arg-type]
    assert Pool.load(tmp_path / "p").rows == whole.rows
    assert contents(tmp_path / "p") == contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_other_repairs_are_refused(
    model: NormalModel, references: References, joining: Callable[[str], Given], tmp_path: Path
) -> None:
    given = joining("p")
    fill_pool(model, references, 5, tmp_path / "p", **given)  # type: ignore[arg-type]
    before = contents(tmp_path / "p")
    with pytest.raises(DataError, match=r"holds other repaired photos: 2 when it was made, 0 now; give the same --rep"):
        fill_pool(model, references, 8, tmp_path / "p", photos=given["photos"])  # type: ignore[arg-type]
    assert contents(tmp_path / "p") == before


def test_the_gate_judges_repaired_photos(model: NormalModel, references: References, tmp_path: Path) -> None:
    gated = model.using(change(model.preset, pool={"gate": True, "budget": 4.0}))
    folder = tmp_path / "p"
    black = torch.zeros(3, 32, 32)
    row: RepairedRow = {"name": "a.png", "sha256": "0" * 64, "share": 0.1}
    given = write_repairs(record_folder(folder) / REPAIRED, [row], [(black + 0.5, black)], {})
    photos = as_images([drawn(40)])
    pool = fill_pool(gated, references, 2, folder, photos=photos, repaired=given)
    assert "repaired" not in {row["mode"] for row in pool.rows}
    assert pool.rejected()[0].reason == "broken"


def test_a_photo_to_judge_leaves_the_pool_though_it_was_repaired(small: Preset, tmp_path: Path) -> None:
    plain = change(small, size=128, pool={"plain": 1.0})
    references = References(as_images([drawn(0, 128), drawn(1, 128)]), "good", "part", seed=0, available=2)
    given = repairs(tmp_path / "p", 128)
    pool = fill_pool(plain, references, 8, tmp_path / "p", photos=as_images([drawn(40, 128)]), repaired=given)
    same = without_judged(pool, [judged(drawn(50, 128))], references)
    copy = without_judged(pool, [judged(again(drawn(51, 128), 200))], references)
    for left, gone in ((same, given.rows[0]), (copy, given.rows[1])):
        assert [*left.rows] == [row for row in pool.rows if row["reference_sha256"] != gone["sha256"]]


def test_the_contact_sheet_has_a_row_with_each_photo_before_and_after(
    model: NormalModel, references: References, joining: Callable[[str], Given], tmp_path: Path
) -> None:
    given = joining("p")
    pool = fill_pool(model, references, 5, tmp_path / "p", **given)  # type: ignore[arg-type]
    rows = PoolSheet(pool.folder, references, model.preset, 0)._pooled()
    by_caption = dict(rows)
    pictures = by_caption["suspicious photos before and after their repair"]
    assert [picture.getpixel((2, 2)) == (128, 128, 128) for picture in pictures] == [False, True, False, True]
    assert any("repaired photos (2 images)" in caption for caption in by_caption)


def test_repairs_with_other_settings_or_a_missing_file_are_made_again(tmp_path: Path) -> None:
    made = repairs(tmp_path / "p")
    assert read_repairs(made.folder, {"seed": 0}) == made
    assert read_repairs(made.folder, {"seed": 1}) is None
    (made.folder / "00001-before.png").unlink()
    assert read_repairs(made.folder, {"seed": 0}) is None
