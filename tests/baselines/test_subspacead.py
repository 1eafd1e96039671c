"""SubspaceAD against scikit-learn, and what must hold of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import drawn
from normalgen.baselines.subspacead import SubspaceAD, middle
from scipy import ndimage
from sklearn.decomposition import PCA
from tiny_timm import saved
from torch.nn.functional import interpolate

from normalgen.errors import PresetError
from normalgen.features.open_features import open_features
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.references import References


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"timm:test_vit:{saved('test_vit', tmp_path_factory.mktemp('weights'))}"


def chosen(references: References, *indices: int) -> References:
    return References(references.images.take(indices), "good", "part", seed=0, available=6)


def test_maps_are_squared_residuals_to_what_scikit_learn_finds_in_the_mean_of_the_middle(
    vit: str, references: References
) -> None:
    (batch,) = references.images.batches(160)
    vectors = torch.stack(open_features(vit, layers=middle).tokens(batch)).mean(0).double().numpy()
    analysis = PCA(n_components=0.99, svd_solver="full").fit(vectors[0].reshape(100, -1))
    query = vectors[1].reshape(100, -1)
    residual = ((query - analysis.inverse_transform(analysis.transform(query))) ** 2).sum(1).reshape(1, 1, 10, 10)
    grown = interpolate(torch.from_numpy(residual), (160, 160), mode="bilinear")[0].numpy()
    expected = ndimage.gaussian_filter(grown, (0, 4, 4), radius=(0, 1, 1))
    seen = SubspaceAD(features=vit, views=0).fit(chosen(references, 0)).predict(references.images.take([1]))
    assert np.allclose(seen.anomaly_maps, expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert float(seen.image_scores) == pytest.approx(np.sort(expected.ravel())[-256:].mean(), rel=1e-3)


def test_what_lies_in_the_span_of_normal_patches_has_no_residual(references: References) -> None:
    detector = SubspaceAD(features="cnn", features_size=32, views=0, share=1 - 1e-9).fit(references)
    assert detector.predict(references.images).anomaly_maps.max() < 1e-5
    assert detector.predict([drawn(20)]).anomaly_maps.min() > 0.01


def test_references_have_random_views_and_images_of_a_pool_have_none(references: References, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", [drawn(11)], [NO_SOURCE], category="good", mode="img2img")
    detector = SubspaceAD(views=3).fit(references, pool)
    assert detector._ready().tensors["count"] == (2 * (1 + 3) + 1) * 32 * 32
    assert {owner: scatter.count // 1024 for owner, scatter in detector.scatters_.items()} == {0: 4, 1: 4, -1: 1}


def test_views_follow_from_the_seed_and_the_photo_not_from_its_place(references: References) -> None:
    query = references.images.take([1])
    one, other = SubspaceAD(views=2).fit(references), SubspaceAD(views=2).fit(chosen(references, 1, 0))
    new = SubspaceAD(views=2, seed=1).fit(references)
    assert torch.allclose(one.predict(query).image_scores, other.predict(query).image_scores, rtol=1e-5)
    assert not torch.allclose(one._ready().tensors["total"], new._ready().tensors["total"])


def test_a_left_out_reference_is_judged_as_by_a_fit_on_the_others(references: References) -> None:
    detector = SubspaceAD(views=2).fit(references)
    alone = [SubspaceAD(views=2).fit(chosen(references, i)).predict(references.images.take([1 - i])) for i in (1, 0)]
    assert torch.allclose(detector.left_out, torch.cat([seen.image_scores for seen in alone]), rtol=1e-4)


def test_a_loaded_detector_gives_the_same_scores(references: References, tmp_path: Path) -> None:
    detector = SubspaceAD(features="cnn", views=1, share=0.9).fit(references)
    detector.save(tmp_path / "kept")
    again = SubspaceAD.load(tmp_path / "kept")
    assert torch.equal(again.predict(references.images).image_scores, detector.predict(references.images).image_scores)
    assert torch.equal(again.left_out, detector.left_out)
    assert again.settings() == detector.settings()


@pytest.mark.parametrize(("depth", "blocks"), [(40, range(22, 29)), (24, range(13, 18)), (12, range(7, 9))])
def test_the_middle_of_the_giant_is_what_the_paper_takes_and_others_have_the_same_share(
    depth: int, blocks: range
) -> None:
    assert list(middle(depth)) == list(blocks)


def test_settings_of_the_paper_have_a_name_and_can_be_changed() -> None:
    paper = SubspaceAD.paper(views=0)
    assert (paper.features, paper.features_size) == ("timm:vit_giant_patch14_reg4_dinov2.lvd142m", 672)
    assert (SubspaceAD.paper().views, paper.views, paper.border, paper.share) == (30, 0, "black", 0.99)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"views": -1}, "views must be a whole number of at least 0, got -1"),
        ({"border": "white"}, "border must be one of whole, mirrored, black, got 'white'"),
        ({"share": 1.0}, "share must be between 0 and 1, got 1.0"),
        ({"layers": [0]}, "have fixed layers; choose layers of vit, dinov2 or timm:NAME"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], why: str, references: References) -> None:
    with pytest.raises(PresetError, match=why):
        SubspaceAD(**wrong).fit(references)
