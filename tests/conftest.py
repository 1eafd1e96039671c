"""Small real things: a prior of 60,000 weights, a preset that uses it, drawn photos."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before torch reads it; see normalgen/cli/app.py
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_stable import write_stable

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.tiny.tiny_parts import new_tiny
from normalgen.diffusion.tiny.unet import TinyConfig
from normalgen.features import embedded
from normalgen.features.embedded import EmbeddedFeatures
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.embedded_vit import SIZE
from normalgen.features.open_features import open_features
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import Images
from normalgen.references import References
from normalgen.settings.presets import Preset, change, preset

signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background would pass over Ctrl-C

SMALL = TinyConfig(channels=(16, 32), text=16, fine=8, fine_layers=2)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for a whole suite; none for the files that one names, nor for what is timed."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return 2 if whole and "not benchmark" in config.option.markexpr else 0


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads or fills the caches of the person who runs it."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("NORMALGEN_DATA", raising=False)
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state()), "the global random state was touched"


@pytest.fixture(autouse=True, scope="session")
def _fast_features() -> Iterator[None]:
    """The features "embedded" are the CNN here, several times as fast; gates look at 64 pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "EmbeddedFeatures", _stand_in)
        patch.setattr("normalgen.pool.filling.open_features", lambda name: open_features(name, size=64))
        yield


@pytest.fixture
def real_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features "embedded" as users have them."""
    monkeypatch.setattr(embedded, "EmbeddedFeatures", EmbeddedFeatures)


def _stand_in(device: str, size: int) -> CnnFeatures:
    return CnnFeatures(device) if size == SIZE else CnnFeatures(device, size)


@pytest.fixture(scope="session")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained prior of a few thousand weights, those that start at 0 drawn at random."""
    folder = tmp_path_factory.mktemp("prior")
    parts = new_tiny(SMALL, seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name in ("fine.leave.weight", "trunk.conv_out.weight"):
            last = parts.denoiser.get_parameter(name)
            last.copy_(0.1 * torch.randn(last.shape, generator=draw))
    parts.save(folder)
    return folder


@pytest.fixture(scope="session")
def toy_preset(prior: Path) -> Preset:
    """The tiny preset at toy size: seconds become milliseconds."""
    return preset(
        "tiny",
        weights=str(prior),
        size=32,
        sample={"steps": 4},
        train={
            "method": "full",
            "learning_rate": 4e-4,
            "prior_weight": 1.0,
            "steps": 4,
            "batch": 2,
            "class_batch": 1,
            "class_images": 2,
            "focus": 1.0,
            "piece": 0,
            "feature_weight": 0.0,
        },
        augment="safe",
        pool={"plain": 0.0, "mix": 0.5, "strength": 0.5, "group": 4, "gate": False},
    )


@pytest.fixture
def small(toy_preset: Preset) -> Preset:
    """The same, for one test."""
    return toy_preset


@pytest.fixture
def model(small: Preset) -> NormalModel:
    return NormalModel(open_parts(small.weights), small, category="good", noun="part")


def drawn(seed: int, size: int = 40) -> Image.Image:
    """A part that no two seeds share: a disc off the middle, a bar at the top, grain."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    disc = ((x - 0.4) ** 2 + (y - 0.6) ** 2 < 0.06 + 0.01 * draw.random())[..., None]
    bar = ((y < 0.15) & (x > 0.5))[..., None]
    values = 60 + 120 * disc * [1.0, 0.8, 0.6] + 90 * bar + draw.normal(0, 4, (size, size, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder `good` of six drawn photos."""
    folder = tmp_path / "good"
    folder.mkdir()
    for seed in range(6):
        drawn(seed).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def references(photos: Path) -> References:
    images = Images.from_folder(photos).take([0, 1])
    return References(images, "good", "part", seed=0, available=6)


@pytest.fixture(scope="session")
def toy(toy_preset: Preset) -> Preset:
    """For evaluations: one step of everything."""
    return change(toy_preset, train={"steps": 1}, pool={"mix": 1.0, "strength": 0.25}, twins={"steps": 1})


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file of random weights for "tiny-clip", which open_clip knows meanwhile."""
    from tiny_clip import clip_file, tiny_clips

    with tiny_clips(tmp_path_factory.mktemp("configs")):
        yield clip_file(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def stable_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable(tmp_path_factory.mktemp("stable") / "sd")


@pytest.fixture
def stable(stable_folder: Path) -> Preset:
    """The sd15 preset on a Stable Diffusion of random weights, at toy size."""
    return preset(
        "sd15",
        weights=str(stable_folder),
        size=64,
        sample={"steps": 10},
        train={"rank": 2, "steps": 2, "class_images": 2, "views": 2, "checkpointing": False},
        pool={"group": 2, "gate": False},
    )


@pytest.fixture(scope="session")
def customized(prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good/` with photos, `mixed/good` and `mixed/cross` to judge, and a finished model in models/good."""
    from detecting import crossed, run

    root = tmp_path_factory.mktemp("customized")
    good = ("good", drawn, range(6))
    for folder, make, seeds in (good, ("mixed/good", drawn, range(20, 23)), ("mixed/cross", crossed, range(30, 32))):
        (root / folder).mkdir(parents=True)
        for seed in seeds:
            make(seed).save(root / folder / f"{seed}.png")
    toy = ["--weights", str(prior), "--size", "32", "--training-steps", "2", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        assert run("customize", "good", *toy) == 0
    return root


@pytest.fixture
def here(customized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for one test, which runs in it."""
    shutil.copytree(customized, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was decoded."""
    counts: Counter[str] = Counter()

    def counted(item: ImageItem, data: bytes | None = None) -> Image.Image:
        counts[item.source] += 1
        return decode(item, data)

    monkeypatch.setattr("normalgen.images.images.decode", counted)
    return counts


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the bytes of each file were read."""
    counts: Counter[str] = Counter()
    read = Path.read_bytes

    def counted(path: Path) -> bytes:
        counts[str(path)] += 1
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    return counts
