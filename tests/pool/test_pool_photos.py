"""Pools with photos beyond the references: rows, bytes, card, and what is left out before photos are judged."""

import json
from io import BytesIO
from pathlib import Path

import datasets
import pytest
from conftest import drawn
from PIL import Image

from normalgen.data.queries import Queries
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.images.images import Images
from normalgen.images.sources import as_images
from normalgen.io.atomic import write_whole
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import draw_shard, fill_pool, merge_pool
from normalgen.pool.journal import record_folder
from normalgen.pool.leaks import without_judged
from normalgen.pool.origin import origin_of
from normalgen.pool.workers import Shard
from normalgen.references import References
from normalgen.settings.presets import Preset, change


@pytest.fixture
def more() -> Images:
    """Three photos that a screening kept."""
    return as_images([drawn(seed) for seed in range(40, 43)])


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a pool and its records."""
    return {
        str(path.relative_to(folder.parent)).replace(folder.name, "p"): path.read_bytes()
        for inside in (folder, record_folder(folder))
        for path in inside.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_photos_come_first_and_nothing_is_made_from_them(
    model: NormalModel, references: References, more: Images, tmp_path: Path
) -> None:
    pool = fill_pool(model, references, 13, tmp_path / "p", photos=more)
    assert [row["mode"] for row in pool.rows[:3]] == ["photo"] * 3
    assert "photo" not in {row["mode"] for row in pool.rows[3:]}
    assert [row["reference_sha256"] for row in pool.rows[:3]] == more.hashes()
    assert all((row["prompt"], row["strength"], row["label"]) == ("", 0.0, 0) for row in pool.rows[:3])
    restored = [row["reference_sha256"] for row in pool.rows if row["mode"] == "img2img"]
    assert {*restored} == {*references.images.hashes()}
    assert pool.sources(references)[:3] == more.hashes()
    for image, photo in zip(pool.images.take(range(3)), more, strict=True):
        assert image.tobytes() == photo.resize((32, 32), Image.Resampling.BICUBIC).tobytes()


def test_a_pool_smaller_than_its_photos_holds_the_first_of_them(
    model: NormalModel, references: References, more: Images, tmp_path: Path
) -> None:
    pool = fill_pool(model, references, 2, tmp_path / "p", photos=more)
    assert [row["reference_sha256"] for row in pool.rows] == more.hashes()[:2]


@pytest.mark.parametrize("written", [1, 4])
def test_a_killed_run_resumes_byte_for_byte(
    model: NormalModel,
    references: References,
    more: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: int,
) -> None:
    left = [written]

    def killed(*given: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write_whole(*given)  # type: ignore[arg-type]

    fill_pool(model, references, 7, tmp_path / "whole", photos=more)
    with monkeypatch.context() as patch:
        patch.setattr("normalgen.pool.filling.write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            fill_pool(model, references, 7, tmp_path / "p", photos=more)
    assert len(Pool.load(tmp_path / "p")) == written
    fill_pool(model, references, 7, tmp_path / "p", photos=more)
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")


def test_a_pool_with_photos_grows(model: NormalModel, references: References, more: Images, tmp_path: Path) -> None:
    for n in (1, 4, 9):
        assert len(fill_pool(model, references, n, tmp_path / "p", photos=more)) == n
    fill_pool(model, references, 9, tmp_path / "whole", photos=more)
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")


def test_two_workers_and_a_merge_make_the_bytes_of_one(
    model: NormalModel, references: References, more: Images, tmp_path: Path
) -> None:
    whole = fill_pool(model, references, 9, tmp_path / "whole", photos=more)
    draw_shard(model, references, 9, tmp_path / "p", Shard.parse("1/2"), photos=more)
    assert [row["mode"] for row in merge_pool(tmp_path / "p")[0].rows[:3]] == ["photo"] * 3
    drawn_by = [draw_shard(model, references, 9, tmp_path / "p", Shard(i, 2), photos=more) for i in (1, 2)]
    assert drawn_by[0] is None
    assert Pool.load(tmp_path / "p").rows == whole.rows
    assert contents(tmp_path / "p") == contents(tmp_path / "whole")


def test_other_photos_are_refused(model: NormalModel, references: References, more: Images, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    fill_pool(model, references, 5, folder, photos=more)
    before = contents(folder)
    with pytest.raises(DataError, match="holds 3 unlabeled photos; name their folder with --unlabeled"):
        fill_pool(model, references, 8, folder)
    for other, said in ((more.take([0, 1]), "2 now"), (more.take([2, 0, 1]), "3 now")):
        with pytest.raises(DataError, match=rf"holds other unlabeled photos: 3 .* {said}; give the same --unlabeled"):
            fill_pool(model, references, 8, folder, photos=other)
    assert contents(folder) == before
    assert len(fill_pool(model, references, 6, folder, photos=more)) == 6
    replaced = fill_pool(model, references, 5, folder, photos=more.take([2]), overwrite=True)
    assert [row["mode"] for row in replaced.rows].count("photo") == 1
    fill_pool(model, references, 5, tmp_path / "without")
    with pytest.raises(DataError, match=r"holds other unlabeled photos: 0 .* 3 now"):
        fill_pool(model, references, 8, tmp_path / "without", photos=more)


def test_the_gate_does_not_judge_photos_but_knows_them(
    model: NormalModel, references: References, tmp_path: Path
) -> None:
    stray, twin = Image.effect_noise((40, 40), 90).convert("RGB"), drawn(40)
    photos = as_images([stray, twin])
    gated = model.using(change(model.preset, pool={"gate": True, "plain": 1.0, "budget": 4.0}))
    pool = fill_pool(gated, references, 6, tmp_path / "p", photos=photos)
    assert [row["mode"] for row in pool.rows[:2]] == ["photo"] * 2
    assert all("nearest_pool" not in row for row in pool.rows[:2])
    assert {row["nearest_pool"] for row in pool.rows[2:]} <= {row["file_name"] for row in pool.rows}
    candidates = (record_folder(pool.folder) / "candidates.jsonl").read_text().splitlines()
    assert all("numbers" not in json.loads(line) for line in candidates[:2])


def test_the_card_says_which_images_are_photographs(
    model: NormalModel, references: References, more: Images, tmp_path: Path
) -> None:
    cards = []
    for name, photos in (("with", more), ("without", None)):
        fill_pool(model, references, 4, tmp_path / name, photos=photos)
        cards.append(" ".join((tmp_path / name / "README.md").read_text().split()))
    assert (
        "unlabeled photos that a screening kept (mode `photo`): photographs, which belong to whoever took" in cards[0]
    )
    assert "They are synthetic." not in cards[0]
    assert cards[0].index("(mode `photo`)") < cards[0].index("Of the other candidates")
    assert "They are synthetic." in cards[1]
    assert "photographs" not in cards[1]


def test_load_dataset_reads_a_pool_with_photos(
    model: NormalModel, references: References, more: Images, tmp_path: Path
) -> None:
    pool = fill_pool(model, references, 6, tmp_path / "p", photos=more)
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train")
    assert loaded["mode"][:3] == ["photo"] * 3
    assert loaded.remove_columns("image").to_list() == pool.dataset.remove_columns("image").to_list()
    assert loaded[0]["image"].tobytes() == pool.images[0].tobytes()


def test_the_record_names_the_photos(model: NormalModel, references: References, more: Images, tmp_path: Path) -> None:
    pool = fill_pool(model, references, 4, tmp_path / "p", photos=more)
    origin = origin_of(pool.folder)
    assert origin is not None
    assert origin.photos == tuple(more.hashes())
    assert origin.hashes == tuple(references.images.hashes())


def again(image: Image.Image, side: int) -> Image.Image:
    """The same exposure, resized and saved as JPEG."""
    stored = BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(stored, "jpeg", quality=85)
    return Image.open(stored)


@pytest.fixture
def plain(small: Preset) -> Preset:
    """Augmented images alone, at a size that keeps what copies are known by."""
    return change(small, size=128, pool={"plain": 1.0})


def judged(*pictures: Image.Image) -> Queries:
    return Queries(as_images(list(pictures)), (None,) * len(pictures))


def test_photos_to_judge_leave_the_pool(plain: Preset, tmp_path: Path) -> None:
    references = References(as_images([drawn(0, 128), drawn(1, 128)]), "good", "part", seed=0, available=2)
    shown = [drawn(seed, 128) for seed in range(40, 44)]
    more = as_images(shown)
    pool = fill_pool(plain, references, 16, tmp_path / "p", photos=more)
    same, copy, reference = shown[0], again(shown[2], 200), drawn(0, 128)
    left = without_judged(pool, [judged(same, reference), judged(copy, drawn(90, 128))], references)
    gone = {more.hashes()[0], more.hashes()[2]}
    assert [*left.rows] == [row for row in pool.rows if row["reference_sha256"] not in gone]
    assert references.images.hashes()[0] in {row["reference_sha256"] for row in left.rows}
    assert without_judged(pool, [judged(drawn(90, 128), drawn(91, 128))], references).rows == pool.rows


def test_a_pool_without_photos_is_not_searched(plain: Preset, references: References, tmp_path: Path) -> None:
    pool = fill_pool(plain, references, 4, tmp_path / "p")
    assert without_judged(pool, [judged(drawn(0))], references) is pool


def test_a_photo_to_judge_that_cannot_be_read_does_not_stop_the_search(plain: Preset, tmp_path: Path) -> None:
    references = References(as_images([drawn(0, 128)]), "good", "part", seed=0, available=1)
    more = as_images([drawn(40, 128)])
    pool = fill_pool(plain, references, 3, tmp_path / "p", photos=more)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/a.png").write_bytes(b"no photo")
    drawn(40, 128).save(tmp_path / "queries/b.bmp")
    queries = Images.from_folder(tmp_path / "queries")
    left = without_judged(pool, [Queries(queries, (None, None))], references)
    assert more.hashes()[0] not in {row["reference_sha256"] for row in left.rows}
    assert 0 < len(left) < 3
