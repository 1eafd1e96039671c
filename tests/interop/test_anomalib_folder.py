"""anomalib learns from references and a pool of normalgen, without a connection (pip install 'normalgen[interop]')."""

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from conftest import drawn
from detecting import crossed
from safetensors.torch import save_file

from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, write_pool

pytest.importorskip("anomalib", reason="pip install 'normalgen[interop]'")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "anomalib_pool.py"


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    images = [drawn(seed) for seed in range(10, 15)]
    return write_pool(tmp_path / "pools" / "good", images, [NO_SOURCE] * 5, category="good", mode="img2img")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model("resnet18").state_dict()
    save_file(state, tmp_path / "resnet18.safetensors")
    return tmp_path / "resnet18.safetensors"


def test_the_example_trains_padim_on_references_and_pool(
    photos: Path, pool: Pool, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "mixed").mkdir()
    drawn(20).save(tmp_path / "mixed" / "good.png")
    crossed(21).save(tmp_path / "mixed" / "cross.png")
    words = [sys.executable, str(EXAMPLE), str(photos), str(pool.folder), "mixed", "--weights", str(weights)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert "learned from 11 images" in said
    assert [Path(line.split()[1]).name for line in said[-2:]] == ["cross.png", "good.png"]


def test_patchcore_keeps_patches_of_references_and_pool(photos: Path, pool: Pool, tmp_path: Path) -> None:
    from anomalib.data import Folder
    from anomalib.engine import Engine
    from anomalib.models import Patchcore

    data = Folder(
        name="parts",
        normal_dir=[photos, pool.folder],
        test_split_mode="none",
        val_split_mode="none",
        train_batch_size=4,
        num_workers=0,
    )
    with torch.random.fork_rng(devices=[]):
        model = Patchcore(
            backbone="resnet18", pre_trained=False, coreset_sampling_ratio=0.01, evaluator=False, visualizer=False
        )
        engine = Engine(accelerator="cpu", enable_progress_bar=False, limit_val_batches=0, default_root_dir=tmp_path)
        engine.fit(model, datamodule=data)
    learned = sorted(map(Path, data.train_data.samples["image_path"]))
    assert learned == sorted([*photos.iterdir(), *(pool.folder / row["file_name"] for row in pool.rows)])
    assert len(model.model.memory_bank) == int(0.01 * 11 * 32 * 32)
