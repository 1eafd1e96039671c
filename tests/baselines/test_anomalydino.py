"""AnomalyDINO against brute force, and what must hold of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import drawn
from normalgen.baselines.anomalydino import AnomalyDINO, foreground
from scipy import ndimage
from sklearn.decomposition import PCA
from tiny_timm import saved
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from normalgen.detectors.map_scores import top_mean
from normalgen.errors import PresetError
from normalgen.features.open_features import open_features
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"timm:test_vit:{saved('test_vit', tmp_path_factory.mktemp('weights'))}"


@pytest.fixture
def pool(references: References, tmp_path: Path) -> Pool:
    sources = [source_of("0.png", references.images.hashes()[0]), NO_SOURCE, NO_SOURCE]
    return write_pool(tmp_path / "pool", [drawn(i) for i in (11, 12, 13)], sources, category="good", mode="img2img")


def chosen(references: References, index: int) -> References:
    return References(references.images.take([index]), "good", "part", seed=0, available=6)


def tokens(references: References, features: str, **settings: Any) -> Tensor:
    network = open_features(features, **settings)
    return torch.cat([network.tokens(batch)[0] for batch in references.images.batches(network.size)])


def blob(rows: int = 20, value: float = 30.0) -> Tensor:
    """Patch vectors (1, rows, rows, 8) of an object off the middle."""
    values = torch.randn(1, rows, rows, 8, generator=torch.Generator().manual_seed(0))
    values[:, 5:16, 3:15, 2] += value
    return values


def test_the_image_score_is_the_mean_of_the_highest_hundredth_or_the_highest() -> None:
    maps = torch.arange(1024.0).flip(0).view(1, 32, 32)
    assert top_mean(maps).tolist() == [sum(range(1014, 1024)) / 10]
    assert top_mean(maps[:, :3, :3]).tolist() == [1023]


def test_maps_are_cosine_distances_to_the_nearest_patch_of_the_last_block(vit: str, references: References) -> None:
    detector = AnomalyDINO(features=vit, rotations=1).fit(chosen(references, 0))
    known = tokens(references, vit, layers=[-1])
    similar = normalize(known[1], dim=-1).flatten(0, 1) @ normalize(known[0], dim=-1).flatten(0, 1).T
    expected = (1 - similar.amax(1)).view(1, 10, 10)
    (photo,) = references.images.take([1]).batches(160)
    seen = detector.predict(references.images.take([1]))
    assert torch.allclose(detector._maps(photo, None), expected, atol=1e-5)
    assert seen.image_scores.tolist() == pytest.approx([float(expected.max())], abs=1e-5)
    grown = interpolate(expected[None], (160, 160), mode="bilinear")[0]
    assert np.allclose(seen.anomaly_maps, ndimage.gaussian_filter(grown, (0, 4, 4)), atol=1e-5)


def test_a_query_that_is_in_the_bank_is_normal(references: References) -> None:
    seen = AnomalyDINO(rotations=1).fit(references).predict(references.images)
    assert seen.image_scores.max() < 1e-5
    assert seen.anomaly_maps.max() < 1e-5


def test_more_images_and_more_views_never_add_distance(references: References, pool: Pool) -> None:
    (query,) = pool.images.take([2]).batches(256)
    few = AnomalyDINO(rotations=1).fit(references)._maps(query, None)
    turned = AnomalyDINO(rotations=3).fit(references)._maps(query, None)
    both = AnomalyDINO(rotations=3).fit(references, pool)._maps(query, None)
    assert (turned <= few + 1e-6).all()
    assert (both <= turned + 1e-6).all()
    assert both.max() < 1e-5 < turned.max() < few.max() + 1e-6


def test_references_are_turned_and_images_of_a_pool_are_not(references: References, pool: Pool) -> None:
    tensors = AnomalyDINO(rotations=4).fit(references, pool)._ready().tensors
    assert tensors["sources"].tolist() == [0, 1, 0, -1, -1, 0, 0, 0, 1, 1, 1]
    assert len(tensors["vectors"]) == 11


def test_a_left_out_reference_is_judged_by_a_fit_on_the_others(references: References) -> None:
    alone = [
        AnomalyDINO(rotations=3).fit(chosen(references, i)).predict(references.images.take([1 - i])) for i in (1, 0)
    ]
    expected = torch.cat([seen.image_scores for seen in alone])
    assert torch.allclose(AnomalyDINO(rotations=3).fit(references).left_out, expected, atol=1e-6)


def test_what_was_made_of_a_left_out_reference_is_left_out_too(references: References, tmp_path: Path) -> None:
    sources = [source_of(f"{i}.png", digest) for i, digest in enumerate(references.images.hashes())]
    copies = write_pool(tmp_path / "copies", [drawn(0), drawn(1)], sources, category="good", mode="augmented")
    detector = AnomalyDINO(rotations=1).fit(references, copies)
    assert detector.left_out.min() > 0.01
    assert torch.equal(detector.left_out, AnomalyDINO(rotations=1).fit(references).left_out)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_foreground_is_what_the_first_component_tells_apart_as_scikit_learn_finds_it(sign: int) -> None:
    given = sign * blob()
    component = PCA(1, svd_solver="full").fit_transform(given.flatten(0, 2).numpy()).reshape(20, 20)
    mask = component > 10
    if mask[4:16, 4:16].mean() <= 0.35:
        mask = -component > 10
    expected = ndimage.binary_closing(np.pad(ndimage.binary_dilation(mask, np.ones((3, 3))), 2), np.ones((3, 3)))
    found = foreground(given, 10.0)[0]
    assert np.array_equal(found.numpy(), expected[2:-2, 2:-2])
    assert found[5:16, 3:15].all()
    assert not found[:4].any()
    assert not found[:, 16:].any()


def test_an_image_without_foreground_is_not_masked() -> None:
    assert foreground(blob(value=0.0), 100.0).all()
    assert foreground(torch.ones(1, 4, 4, 3), 0.0).all()


def test_what_is_masked_is_at_no_distance_and_still_counts_as_a_position(vit: str, references: References) -> None:
    settings: dict[str, Any] = {"features": vit, "rotations": 1}
    (query,) = references.images.take([1]).batches(160)
    alone = chosen(references, 0)
    plain, masked = (AnomalyDINO(**settings, masking=mode).fit(alone)._maps(query, None) for mode in ("off", "on"))
    mask = foreground(tokens(references, vit, layers=[-1])[1:], 0.0)
    assert 0 < float(mask.float().mean()) < 1
    assert torch.equal(masked, plain * mask)


def test_settings_of_the_paper_have_a_name_and_can_be_changed() -> None:
    paper = AnomalyDINO.paper(masking="on", device="cpu")
    assert (paper.features, paper.features_size) == ("timm:vit_small_patch14_dinov2.lvd142m", 448)
    assert (paper.rotations, paper.border, paper.masking, paper.threshold) == (8, "mirrored", "on", 10.0)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"rotations": 0}, "rotations must be a number from 1 to 1440, got 0"),
        ({"border": "white"}, "border must be one of whole, mirrored, black, got 'white'"),
        ({"masking": True}, "masking must be off or on, got True"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], why: str, references: References) -> None:
    with pytest.raises(PresetError, match=why):
        AnomalyDINO(**wrong).fit(references)


def test_layers_are_those_asked_for(vit: str) -> None:
    assert AnomalyDINO(features=vit, layers=[1, 3]).network().name.endswith("/1,3")
    assert AnomalyDINO(features=vit).network().name.endswith("/5")
    assert AnomalyDINO(features="cnn").network().name.startswith("cnn:1,2,3")
