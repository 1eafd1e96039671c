"""AnomalyDINO against anomalib's, with the same random weights and images (extra `interop`).

anomalib enlarges maps without interpolation and masks references, too, so only embeddings, masks and scores are equal.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from conftest import drawn
from normalgen.baselines.anomalydino import AnomalyDINO, foreground
from safetensors.torch import save_file
from torch.nn.functional import normalize

from normalgen.features.weights import normalised
from normalgen.images.images import Images
from normalgen.references import References

pytest.importorskip("anomalib", reason="pip install -e '.[interop]'", exc_type=ImportError)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from anomalib.models.image.anomaly_dino.torch_model import AnomalyDINOModel

BACKBONE, SIZE = "vit_small_patch14_dinov2", 224


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, with blocks that count: DINOv2's are scaled by 1e-5 at the start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model(BACKBONE, num_classes=0).state_dict()
    state |= {name: torch.ones_like(value) for name, value in state.items() if name.endswith("gamma")}
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def references(tmp_path: Path) -> References:
    (tmp_path / "normal").mkdir()
    for seed in range(4):
        drawn(seed, SIZE).save(tmp_path / f"normal/{seed}.png")
    return References(Images.from_folder(tmp_path / "normal").take([0, 1]), "good", "part", seed=0, available=4)


def theirs(detector: AnomalyDINO, monkeypatch: pytest.MonkeyPatch) -> Any:
    """anomalib's model with the weights of a fitted detector; it insists on weights from the hub, at 518 px."""
    create, resample = timm.create_model, timm.models.vision_transformer.resample_abs_pos_embed
    monkeypatch.setattr(timm.models.vision_transformer, "resample_abs_pos_embed", resample)  # they replace it for good
    with monkeypatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setattr(
            timm, "create_model", lambda name, **given: create(name, **given | {"pretrained": False, "img_size": SIZE})
        )
        model = AnomalyDINOModel(encoder_name=BACKBONE)
    network: Any = detector._ready().network
    model.feature_encoder.feature_extractor.load_state_dict(network.network.state_dict())
    return model.eval()


@torch.no_grad()
def test_embeddings_and_scores_are_those_of_anomalib(
    weights: Path, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = AnomalyDINO(features=f"timm:{BACKBONE}:{weights}", features_size=SIZE, rotations=1).fit(references)
    model, queries = theirs(ours, monkeypatch), Images.from_folder(tmp_path / "normal").take([2, 3])
    network: Any = ours._ready().network
    known, new = (
        torch.cat([normalised(batch, network.mean, network.std) for batch in images.batches(SIZE)])
        for images in (references.images, queries)
    )
    model.memory_bank = normalize(model.extract_features(known), dim=-1).flatten(0, 1)
    vectors = ours._ready().tensors["vectors"].flatten(0, 2)
    assert vectors.std() > 0.01
    assert torch.allclose(vectors, model.memory_bank, atol=1e-4)
    scores = model(new).pred_score.flatten()
    assert scores.min() > 1e-3
    assert torch.allclose(ours.predict(queries).image_scores, scores, rtol=1e-3, atol=1e-6)


def test_the_foreground_is_that_of_anomalib() -> None:
    """But where neither sign of the component keeps anything, anomalib masks all of the image, and ours nothing."""
    tokens = torch.randn(3, 20, 20, 8, generator=torch.Generator().manual_seed(0))
    tokens[0, 5:16, 3:15, 2] += 30
    tokens[1, 6:14, 6:14, 1] -= 30
    tokens[2, 8:12, :, 5] += 30
    masks = AnomalyDINOModel.compute_background_masks(tokens.flatten(1, 2).numpy(), (20, 20)).reshape(3, 20, 20)
    assert masks.mean((1, 2)).tolist() == [pytest.approx(0.455), pytest.approx(0.25), 0]
    assert np.array_equal(foreground(tokens, 10.0).numpy(), masks | ~masks.any((1, 2), keepdims=True))
