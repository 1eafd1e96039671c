"""PaDiM beside anomalib's, on the same weights, photos and pool (pip install 'normalgen[interop]')."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import drawn
from detecting import crossed
from normalgen.baselines.padim import PaDiM
from safetensors.torch import save_file
from torch import Tensor

from normalgen.features.weights import normalised
from normalgen.images.sources import as_images
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.references import References

pytest.importorskip("anomalib", reason="pip install 'normalgen[interop]'")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

SIZE, MEAN, STD = 128, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MORE = 0.01 + 1e-5
"""anomalib's ridge."""


class Both:
    """Both detectors, fitted on two references and a pool of six; the channels are ours."""

    def __init__(self, references: References, folder: Path, **settings: Any) -> None:
        from anomalib.models.image.padim.torch_model import PadimModel

        images = [drawn(seed) for seed in range(10, 16)]
        pool = write_pool(folder / "pool", images, [NO_SOURCE] * 6, category="good", mode="img2img")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            weights = timm.create_model("resnet18").state_dict()
            self.theirs = PadimModel(backbone="resnet18", pre_trained=False, n_features=100)
        save_file(weights, folder / "resnet18.safetensors")
        features = f"timm:resnet18:{folder / 'resnet18.safetensors'}"
        given = {"features": features, "features_size": SIZE, "dimensions": 100, "scaled": False, "ridge": MORE}
        self.ours = PaDiM(**{**given, **settings}).fit(references, pool)
        self.theirs.feature_extractor.feature_extractor.load_state_dict(weights, strict=False)
        assert self.ours.fitted_ is not None
        self.theirs.idx = self.ours.fitted_.tensors["channels"]
        normals = torch.cat([*references.images.batches(SIZE), *pool.images.batches(SIZE)])
        self.embeddings: Tensor = self.theirs.train()(normalised(normals, MEAN, STD))
        self.theirs.fit()
        self.theirs.eval()
        self.queries = as_images([drawn(20), crossed(21), drawn(22), crossed(23)])
        self.pixels = normalised(torch.cat([*self.queries.batches(SIZE)]), MEAN, STD)


def test_embeddings_are_those_of_anomalib(references: References, tmp_path: Path) -> None:
    both = Both(references, tmp_path)
    assert both.ours.centred_ is not None
    assert both.ours.gaussians_ is not None
    ours = both.ours.centred_ + both.ours.gaussians_.mean[:, None]
    assert torch.allclose(ours, both.embeddings.flatten(2).permute(2, 0, 1), atol=1e-4)


def test_maps_and_scores_are_those_of_anomalib_but_for_the_mirrored_border(
    references: References, tmp_path: Path
) -> None:
    both = Both(references, tmp_path)
    found, theirs = both.ours.predict(both.queries), both.theirs(both.pixels)
    inside = (slice(None), slice(17, -17), slice(17, -17))
    theirs_inside, ours_inside = theirs.anomaly_map[:, 0][inside], found.anomaly_maps[inside]
    assert torch.allclose(ours_inside, theirs_inside, rtol=1e-3)
    assert torch.allclose(ours_inside.flatten(1).amax(1), theirs_inside.flatten(1).amax(1), rtol=1e-3)
    assert not torch.allclose(found.anomaly_maps, theirs.anomaly_map[:, 0], rtol=1e-3)


def test_scores_without_blur_are_those_of_anomalib(references: References, tmp_path: Path) -> None:
    both = Both(references, tmp_path, sigma=0.0)
    generator = both.theirs.anomaly_map_generator
    generator.blur = torch.nn.Identity()
    found, theirs = both.ours.predict(both.queries), both.theirs(both.pixels)
    assert torch.allclose(found.image_scores, theirs.pred_score.flatten(), rtol=1e-3)


def test_the_ridge_that_anomalib_adds_changes_scores_by_less_than_a_thousandth(
    references: References, tmp_path: Path
) -> None:
    more, paper = Both(references, tmp_path), Both(references, tmp_path, ridge=0.01)
    one, other = (both.ours.predict(both.queries).image_scores for both in (more, paper))
    assert not torch.equal(one, other)
    assert torch.allclose(one, other, rtol=1e-3)


def test_one_image_is_not_a_number_in_anomalib_and_is_one_here(references: References, tmp_path: Path) -> None:
    both = Both(references, tmp_path)
    both.theirs.train()(both.pixels[:1])
    both.theirs.fit()
    assert not both.theirs.eval()(both.pixels).pred_score.isfinite().any()
    one = References(references.images.take([0]), "good", "part", seed=0, available=6)
    assert PaDiM(features="cnn").fit(one).predict(both.queries).image_scores.isfinite().all()
