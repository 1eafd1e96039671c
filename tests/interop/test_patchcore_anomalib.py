"""PatchCore against anomalib's, with the same random weights and images (extra `interop`)."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from conftest import drawn
from normalgen.baselines.patchcore import PatchCore
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from normalgen.features.timm import TimmFeatures
from normalgen.features.weights import normalised
from normalgen.images.images import Images
from normalgen.images.sources import as_images
from normalgen.references import References

pytest.importorskip("anomalib", reason="pip install -e '.[interop]'", exc_type=ImportError)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from anomalib.models.components import KCenterGreedy
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from scipy.stats import spearmanr

SIZE, BACKBONE = 96, "resnet18"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(BACKBONE)
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture
def references(tmp_path: Path) -> References:
    (tmp_path / "normal").mkdir()
    for seed in range(6):
        drawn(seed, SIZE).save(tmp_path / f"normal/{seed}.png")
    return References(Images.from_folder(tmp_path / "normal"), "good", "part", seed=0, available=6)


def ours(weights: Path, **settings: Any) -> PatchCore:
    """anomalib's settings: layers 2 and 3 as they are, joined without pooling."""
    features = f"timm:{BACKBONE}:{weights}"
    return PatchCore(features=features, layers=[2, 3], features_size=SIZE, scaled=False, **settings)


class Theirs:
    """anomalib's model with the same weights; `fit` and `scores` take what ours take."""

    def __init__(self, weights: Path, neighbours: int = 1) -> None:
        self.features = TimmFeatures(BACKBONE, weights=str(weights), size=SIZE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = PatchcoreModel(["layer2", "layer3"], BACKBONE, pre_trained=False, num_neighbors=neighbours)
        inside = self.model.feature_extractor.feature_extractor
        inside.load_state_dict({name: self.features.network.state_dict()[name] for name in inside.state_dict()})

    @torch.no_grad()
    def __call__(self, images: Tensor, training: bool) -> Any:
        self.model.training = training  # of the model alone: its network stays in evaluation mode
        return self.model(normalised(images, self.features.mean, self.features.std))

    def fit(self, images: Images, ratio: float) -> "Theirs":
        for batch in images.batches(SIZE):
            self(batch, training=True)
        bank = torch.vstack(self.model.embedding_store)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model.memory_bank = KCenterGreedy(bank, ratio).sample_coreset() if ratio < 1 else bank
        return self

    def scores(self, queries: Sequence[Image.Image]) -> Tensor:
        parts = [self(batch, training=False).pred_score for batch in as_images(queries).batches(SIZE)]
        return torch.cat(parts).flatten()


def queries(count: int) -> list[Image.Image]:
    """Parts with squares of growing contrast."""
    photos = []
    for index in range(count):
        values = np.array(drawn(100 + index, SIZE)).astype(int)
        values[30:50, 20 + index : 40 + index] += 5 * index
        photos.append(Image.fromarray(values.clip(0, 255).astype(np.uint8)))
    return photos


def test_patches_are_equal(weights: Path, references: References) -> None:
    images = next(references.images.batches(SIZE))
    detector = ours(weights)
    patches = detector._patches(detector.network(), images).flatten(0, 2)
    expected = Theirs(weights)(images, training=True)
    assert patches.shape == expected.shape == (6 * 12 * 12, 128 + 256)
    assert torch.allclose(patches, expected, atol=1e-4)


@pytest.mark.parametrize("neighbours", [1, 9])
def test_scores_without_a_coreset_are_equal(weights: Path, references: References, neighbours: int) -> None:
    photos = queries(12)
    scores = ours(weights, coreset_ratio=1, neighbours=neighbours).fit(references).predict(photos).image_scores
    expected = Theirs(weights, neighbours).fit(references.images, 1).scores(photos)
    assert torch.allclose(scores, expected, rtol=1e-3)


def test_scores_with_a_coreset_rank_alike(weights: Path, references: References) -> None:
    photos = queries(40)
    scores = ours(weights, coreset_ratio=0.1).fit(references).predict(photos).image_scores
    expected = Theirs(weights).fit(references.images, 0.1).scores(photos)
    assert spearmanr(scores, expected).statistic >= 0.98
