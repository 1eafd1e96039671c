from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import drawn
from detecting import crossed
from normalgen.baselines.padim import Covariances, FewVectors, PaDiM, gaussians
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.errors import NotFittedError, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References

P = 5
Kind = type[FewVectors | Covariances]
FEW, MANY = 100, 3
"""Channels, of which two to six images are fewer or not."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fitted(vectors: Tensor) -> FewVectors | Covariances:
    """Gaussians of vectors (P, N, C)."""
    mean = vectors.mean(1)
    return gaussians(mean, vectors - mean[:, None], 0.01)


def direct(vectors: Tensor, queries: Tensor) -> Tensor:
    """Distances by the definition, in float64, of vectors (P, N, C) and queries (B, P, C)."""
    centred = (vectors - vectors.mean(1, keepdim=True)).double()
    count, channels = centred.shape[1:]
    covariance = centred.mT @ centred / max(1, count - 1) + 0.01 * torch.eye(channels, dtype=torch.float64)
    apart = queries.double() - vectors.mean(1)
    return torch.einsum("bpi,pij,bpj->bp", apart, torch.linalg.inv(covariance), apart).sqrt().float()


@pytest.fixture
def three(photos: Path) -> References:
    return References(Images.from_folder(photos).take([0, 1, 2]), "good", "part", seed=0, available=6)


@pytest.fixture
def pool(three: References, tmp_path: Path) -> Pool:
    """Three images: made from the first reference, from the last, and from none."""
    names, hashes = three.images.names, three.images.hashes()
    sources = [source_of(names[i], hashes[i]) for i in (0, 2)] + [NO_SOURCE]
    return write_pool(tmp_path / "pool", [drawn(i) for i in (10, 11, 12)], sources, category="good", mode="img2img")


@pytest.mark.parametrize(
    ("count", "channels", "kind"), [(3, 20, FewVectors), (19, 20, FewVectors), (30, 20, Covariances)]
)
def test_distances_are_those_of_the_direct_inverse(
    count: int, channels: int, kind: type[FewVectors | Covariances]
) -> None:
    vectors, queries = noise(P, count, channels), noise(4, P, channels, seed=1)
    normal = fitted(vectors)
    assert type(normal) is kind
    assert torch.allclose(normal.distances(queries), direct(vectors, queries), rtol=1e-5)


def test_one_image_has_the_covariance_of_the_ridge_alone() -> None:
    vectors, queries = noise(P, 1, 20), noise(4, P, 20, seed=1)
    expected = (queries - vectors[:, 0]).norm(dim=2) / 0.1
    assert torch.allclose(fitted(vectors).distances(queries), expected, rtol=1e-5)


def test_nothing_cancels_where_normal_vectors_vary_a_lot() -> None:
    """Along a direction of deviation 1000, the textbook's 1 / ridge - almost 1 / ridge leaves no digit in float32."""
    direction = torch.nn.functional.normalize(noise(P, 1, 50), dim=2)
    vectors = direction * torch.tensor([-1000.0, 0.0, 1000.0])[:, None]
    near = fitted(vectors).distances(500 * direction.transpose(0, 1))
    assert torch.allclose(near, torch.full((1, P), 0.5), rtol=1e-3)


def test_levels_are_repeated_on_the_finest_grid_and_joined_as_in_the_paper() -> None:
    levels = [noise(2, 8, 8, 6), noise(2, 4, 4, 10, seed=1), noise(2, 2, 2, 14, seed=2)]
    large = [interpolate(level.permute(0, 3, 1, 2), 8, mode="nearest") for level in levels]
    channels = torch.tensor([0, 5, 6, 17, 29])
    found = PaDiM(scaled=False)._vectors(levels, (1 / 3,) * 3, channels)
    assert torch.equal(found, torch.cat(large, 1)[:, channels].flatten(2).mT)


def test_scaled_levels_do_not_depend_on_the_scale_of_features() -> None:
    levels, channels = [noise(2, 8, 8, 6), noise(2, 4, 4, 10, seed=1)], torch.arange(16)
    found = PaDiM()._vectors(levels, (0.75, 0.25), channels)
    assert torch.allclose(found, PaDiM()._vectors([50 * levels[0], levels[1]], (0.75, 0.25), channels), atol=1e-5)
    assert torch.allclose(found.square().mean(2), torch.ones(2, 64), atol=1e-5)
    assert torch.allclose(found[..., :6].square().sum(2), torch.full((2, 64), 12.0), atol=1e-4)


@pytest.mark.parametrize("dimensions", [FEW, MANY])
def test_a_defect_scores_higher_than_good_parts_and_is_in_its_middle(
    dimensions: int, three: References, pool: Pool
) -> None:
    found = PaDiM(dimensions=dimensions, sigma=2).fit(three, pool).predict([drawn(20), drawn(21), crossed(22)])
    assert found.image_scores.isfinite().all()
    assert found.image_scores.argmax() == 2
    size = found.anomaly_maps.shape[1]
    row, column = divmod(int(found.anomaly_maps[2].argmax()), size)
    assert 0.2 < row / size < 0.8
    assert 0.2 < column / size < 0.7


def test_one_reference_alone_judges_and_a_pool_gives_it_a_covariance(references: References, pool: Pool) -> None:
    one = References(references.images.take([0]), "good", "part", seed=0, available=6)
    alone, more = PaDiM().fit(one), PaDiM().fit(one, pool)
    assert alone.predict(references.images).image_scores.isfinite().all()
    assert (more.predict([drawn(30)]).image_scores < alone.predict([drawn(30)]).image_scores).all()
    assert len(more.left_out) == 0


@pytest.mark.parametrize("dimensions", [FEW, MANY])
@pytest.mark.parametrize("reference", [0, 1, 2])
def test_a_left_out_reference_is_judged_as_by_a_detector_that_never_saw_it(
    dimensions: int, reference: int, three: References, pool: Pool, tmp_path: Path
) -> None:
    others = [i for i in range(3) if i != reference]
    kept = [i for i, source in enumerate((0, 2, -1)) if source != reference]
    rest = write_pool(
        tmp_path / "rest", [drawn(10 + i) for i in kept], [NO_SOURCE] * len(kept), category="good", mode="img2img"
    )
    without = References(three.images.take(others), "good", "part", seed=0, available=6)
    expected = PaDiM(dimensions=dimensions).fit(without, rest).predict(three.images.take([reference]))
    found = PaDiM(dimensions=dimensions).fit(three, pool).left_out[reference]
    assert float(found) == pytest.approx(float(expected.image_scores), rel=1e-4)


@pytest.mark.parametrize("dimensions", [FEW, MANY])
def test_a_saved_detector_gives_identical_scores_and_is_small(
    dimensions: int, three: References, pool: Pool, tmp_path: Path
) -> None:
    detector = PaDiM(dimensions=dimensions, border=8).fit(three, pool)
    detector.save(tmp_path / "kept")
    again = PaDiM.load(tmp_path / "kept", batch=1)
    assert torch.equal(again.left_out, detector.left_out)
    alone, together = (one.predict([drawn(20), crossed(21)]) for one in (again, detector))
    assert torch.allclose(alone.anomaly_maps, together.anomaly_maps, rtol=1e-4)
    assert torch.equal(
        PaDiM.load(tmp_path / "kept").predict([drawn(20)]).image_scores, detector.predict([drawn(20)]).image_scores
    )
    vectors = min(6 + 1, dimensions + 1) * dimensions * 32**2 * 4
    assert sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) < vectors + 10_000


def test_the_border_is_not_judged(three: References) -> None:
    maps = PaDiM(border=16).fit(three).predict([crossed(20)]).anomaly_maps
    assert maps.shape == (1, 288, 288)
    assert (maps[:, 16:-16, 16:-16] > 0).all()
    assert maps.sum() == pytest.approx(float(maps[:, 16:-16, 16:-16].sum()))


def test_channels_are_those_of_the_published_code(three: References, tmp_path: Path) -> None:
    """`random.seed(1024)`, then `sample(range(448), 100)`, starts with these."""
    weights = tmp_path / "resnet18.safetensors"
    save_file(timm_weights("resnet18"), weights)
    detector = PaDiM.paper(f"timm:resnet18:{weights}", features_size=64, border=4).fit(three)
    assert detector.fitted_ is not None
    channels = detector.fitted_.tensors["channels"].tolist()
    assert len(set(channels)) == 100
    assert {408, 9, 247, 435, 199, 165} <= set(channels)
    assert detector.fitted_.tensors["mean"].shape == (16 * 16, 100)
    assert detector.predict([drawn(20)]).anomaly_maps.shape == (1, 72, 72)


def timm_weights(name: str) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state: dict[str, Tensor] = timm.create_model(name).state_dict()
    return state


def test_the_papers_settings_have_their_channels_and_may_be_changed() -> None:
    large, small = PaDiM.paper(), PaDiM.paper("timm:resnet18.tv_in1k", device="cuda")
    assert (large.dimensions, small.dimensions, small.device) == (550, 100, "cuda")
    assert (large.features_size + 2 * large.border, large.features_size, large.sigma, large.ridge) == (
        256,
        224,
        4,
        0.01,
    )
    assert not large.scaled


def test_features_with_few_channels_keep_all(three: References) -> None:
    detector = PaDiM(dimensions=1000, features="cnn").fit(three)
    assert detector.fitted_ is not None
    assert detector.fitted_.tensors["channels"].tolist() == list(range(24 + 40 + 112))


def test_another_seed_draws_other_channels_and_the_same_seed_the_same(three: References) -> None:
    scores = [PaDiM(seed=seed).fit(three).predict([crossed(20)]).image_scores for seed in (0, 0, 1)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


def test_photos_go_through_the_network_once(three: References, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    tokens = CnnFeatures.tokens

    def counted(self: CnnFeatures, images: Tensor) -> list[Tensor]:
        seen.append(len(images))
        return tokens(self, images)

    monkeypatch.setattr(CnnFeatures, "tokens", counted)
    detector = PaDiM(features="cnn", batch=4).fit(three, pool)
    assert seen == [1, 4, 2]  # the first is blank, and tells how much memory the fit takes
    assert len(detector.left_out) == 3
    assert seen == [1, 4, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dimensions": 0}, "dimensions must be a whole number of at least 1, got 0"),
        ({"border": -1}, "border must be a whole number of at least 0, got -1"),
        ({"ridge": 0}, "ridge must be a number above 0, got 0"),
        ({"sigma": -1.0}, r"sigma must be in \[0, 100\] pixels, got -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], said: str, three: References) -> None:
    with pytest.raises(PresetError, match=f"padim: {said}"):
        PaDiM(**wrong).fit(three)


def test_it_judges_nothing_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError):
        PaDiM().predict([drawn(1)])
