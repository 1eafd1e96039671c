"""Tools that take every image below the folder that people name take the pool, and nothing else."""

import shutil
from pathlib import Path

import datasets
import pytest
from conftest import SMALL
from PIL import Image
from torchvision.datasets import ImageFolder

from normalgen.data.layout import folders, image_files
from normalgen.data.queries import find_queries
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.tiny.tiny_parts import new_tiny
from normalgen.errors import DataError
from normalgen.images.listing import photo_endings
from normalgen.pool.contact_sheet import PoolSheet
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.pool.generate import fill_pool
from normalgen.pool.journal import record_folder
from normalgen.pool.origin import origin_of
from normalgen.references import References
from normalgen.settings.presets import Preset, change


@pytest.fixture
def pool(small: Preset, references: References, tmp_path: Path) -> Pool:
    """A pool with rejected images and a contact sheet beside it."""
    settings = change(small, pool={"gate": True, "mix": 1.0, "plain": 0.5, "budget": 3.0, "group": 2})
    model = NormalModel(new_tiny(SMALL, seed=1), settings, category="good", noun="part")
    made = fill_pool(model, references, 2, tmp_path / "pools" / "nut-1.5")
    assert made.rejected()
    PoolSheet(made.folder, references, settings, 0).write()
    return made


def files(pool: Pool) -> list[Path]:
    return [pool.folder / row["file_name"] for row in pool.rows]


def test_every_file_below_the_pool_is_an_image_of_it_a_row_or_its_card(pool: Pool) -> None:
    below = {path for path in pool.folder.glob("**/*") if path.is_file()}
    assert below == {*files(pool), pool.folder / "metadata.jsonl", pool.folder / "README.md"}
    assert sorted(path for path in below if path.suffix in photo_endings()) == files(pool)


def test_the_image_folder_of_torchvision_is_the_pool(pool: Pool) -> None:
    assert [Path(path) for path, _ in ImageFolder(pool.folder).samples] == files(pool)
    parent = ImageFolder(pool.folder.parent)
    label = parent.class_to_idx[pool.folder.name]
    assert [Path(path) for path, found in parent.samples if found == label] == files(pool)


def test_load_dataset_gives_the_pool(pool: Pool) -> None:
    loaded = datasets.load_dataset(str(pool.folder), split="train")
    assert [row["index"] for row in loaded] == [row["index"] for row in pool.rows]


@pytest.mark.filterwarnings("ignore")
def test_the_folder_of_anomalib_is_the_pool(pool: Pool) -> None:
    data = pytest.importorskip("anomalib.data", reason="pip install 'normalgen[interop]'")
    module = data.Folder(name="pool", normal_dir=pool.folder, test_split_mode="none", val_split_mode="none")
    module.setup()
    assert sorted(map(Path, module.train_data.samples["image_path"])) == files(pool)


def test_readers_of_photos_pass_over_records(pool: Pool) -> None:
    above = pool.folder.parent
    assert image_files(above, deep=True) == files(pool)
    assert folders(above) == [pool.folder]
    with pytest.raises(DataError, match="no images"):
        find_queries(above)
    Image.new("RGB", (8, 8)).save(above / "photo.png")
    assert find_queries(above).images.names == ["photo.png"]
    assert len(find_queries(record_folder(pool.folder) / "rejected").images) == len(pool.rejected())


def test_a_pool_that_was_handed_on_loads_without_its_records(pool: Pool, tmp_path: Path) -> None:
    shutil.copytree(pool.folder, tmp_path / "handed-on")
    handed = Pool.load(tmp_path / "handed-on")
    assert (handed.rows, handed.gate(), handed.rejected()) == (pool.rows, None, [])
    assert origin_of(handed.folder) is None
    assert origin_of(pool.folder) is not None


def test_a_written_pool_needs_no_records(tmp_path: Path) -> None:
    made = write_pool(tmp_path / "all" / "p", [Image.new("RGB", (8, 8))], [NO_SOURCE], category="nut", mode="real")
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["p"]
    assert len(ImageFolder(tmp_path / "all")) == len(made) == 1


def test_records_lie_beside_the_pool_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nut-1.5" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "nut-1.5")
    monkeypatch.chdir(tmp_path / "nut-1.5")
    beside = tmp_path / "nut-1.5.normalgen"
    assert record_folder(Path()) == record_folder(Path("in/..")) == record_folder(tmp_path / "link") == beside
    assert record_folder(Path("pools/nut")) == Path("pools/nut.normalgen")
    with pytest.raises(DataError, match="its records need a folder next to it"):
        record_folder(Path("/"))


@pytest.mark.parametrize("name", ["p", "p.normalgen"])
def test_foreign_files_in_either_folder_are_refused(
    name: str, model: NormalModel, references: References, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=rf"{name} is not empty \(thesis\.txt\)"):
        fill_pool(model, references, 1, tmp_path / "p", overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_of_records_is_refused_for_a_pool(model: NormalModel, references: References, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="choose another name"):
        fill_pool(model, references, 1, tmp_path / "p.normalgen")


@pytest.mark.parametrize("theirs", ["another pool", "photos"])
def test_what_took_the_place_of_a_pool_is_neither_removed_nor_taken_for_it(
    theirs: str, model: NormalModel, references: References, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    fill_pool(model, references, 2, folder)
    shutil.rmtree(folder)
    if theirs == "photos":
        (folder / "images").mkdir(parents=True)
        (folder / "images" / "holiday.png").write_bytes(b"mine")
    else:
        fill_pool(model, references, 2, tmp_path / "q", seed=1)
        shutil.copytree(tmp_path / "q", folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for seed in (0, 1):
        with pytest.raises(DataError, match=r"holds other images than .*normalgen records"):
            fill_pool(model, references, 3, folder, seed=seed, overwrite=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plain": 1.0}, ["All are augmented reference photos", "no diffusion model made any"]),
        (
            {"plain": 0.5, "mix": 1.0, "gate": True},
            ["50 % are augmented", "touched", "50 % are augmented", "can differ"],
        ),
        ({"plain": 0.0, "mix": 0.25}, ["candidates, 25 % are augmented", "(`img2img`); 75 % are drawn from noise"]),
    ],
)
def test_the_card_says_which_share_diffusion_made(
    changes: dict[str, object], said: list[str], model: NormalModel, references: References, tmp_path: Path
) -> None:
    fill_pool(model.using(change(model.preset, pool=changes)), references, 4, tmp_path / "p")
    card = (tmp_path / "p" / "README.md").read_text()
    assert all(words in card for words in said)
    assert "drawn by normalgen" not in card
