from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import drawn
from detecting import crossed
from normalgen.baselines import patchcore
from normalgen.baselines.patchcore import PatchCore, weights
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import TextSide
from normalgen.features.coreset import greedy_coreset, projection
from normalgen.images.images import Images
from normalgen.images.sources import as_images
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References


class Levels:
    """Features of given levels (N, h, w, C), whatever the images show."""

    name, size, shares = "levels", 224, (0.5, 0.5)
    text: TextSide | None = None

    def __init__(self, *levels: Tensor) -> None:
        self.levels = list(levels)

    def tokens(self, images: Tensor) -> list[Tensor]:
        return [level[: len(images)] for level in self.levels]

    def image(self, images: Tensor) -> Tensor:
        raise NotImplementedError


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def three(photos: Path) -> References:
    return References(Images.from_folder(photos).take([0, 1, 2]), "good", "part", seed=0, available=6)


@pytest.fixture
def pool(three: References, tmp_path: Path) -> Pool:
    """Three images: made from the first reference, from the last, and from none."""
    names, hashes = three.images.names, three.images.hashes()
    sources = [source_of(names[i], hashes[i]) for i in (0, 2)] + [NO_SOURCE]
    return write_pool(tmp_path / "pool", [drawn(i) for i in (10, 11, 12)], sources, category="good", mode="img2img")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network of random weights, by name and file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("test_resnet")
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    save_file(network.state_dict(), path)
    return f"timm:test_resnet:{path}"


def small(**settings: Any) -> PatchCore:
    """64 patches per image."""
    return PatchCore(features_size=64, **settings)


def bank(detector: PatchCore) -> Tensor:
    vectors: Tensor = detector._bank(None).vectors
    return vectors


def test_half_of_a_patch_is_layer_3s_plain_means_in_pairs_and_half_layer_2s_means_with_the_middle_twice() -> None:
    second, third = noise(2, 28, 28, 512), noise(2, 14, 14, 1024, seed=1)
    patches = PatchCore(width=1024, scaled=False)._patches(Levels(second, third), torch.empty(2, 3, 224, 224))
    assert patches.flatten(0, 2).shape == (2 * 784, 1024)
    near, deep = (avg_pool2d(level.permute(0, 3, 1, 2), 3, 1, 1) for level in (second, third))
    middle_twice = (9 * near + second.permute(0, 3, 1, 2)) / 10
    pairs = interpolate((deep[:, ::2] + deep[:, 1::2]) / 2, (28, 28), mode="bilinear")
    expected = torch.cat([middle_twice, pairs], 1).permute(0, 2, 3, 1)
    assert torch.allclose(patches, expected, atol=1e-5)


def test_without_pooling_the_3x3_means_of_all_channels_are_joined_on_the_finest_grid() -> None:
    coarse, fine = noise(2, 4, 4, 5), noise(2, 8, 8, 3, seed=1)
    patches = PatchCore(scaled=False)._patches(Levels(coarse, fine), torch.empty(2, 3, 8, 8))
    means = [avg_pool2d(level.permute(0, 3, 1, 2), 3, 1, 1) for level in (coarse, fine)]
    expected = torch.cat([interpolate(means[0], (8, 8), mode="bilinear"), means[1]], 1)
    assert torch.allclose(patches, expected.permute(0, 2, 3, 1))
    alone = PatchCore(scaled=False, neighbourhood=1)._patches(Levels(fine), torch.empty(2, 3, 8, 8))
    assert torch.equal(alone, fine)


def test_scaled_levels_count_by_their_shares_whatever_their_length() -> None:
    levels = noise(1, 4, 4, 5), 1000 * noise(1, 4, 4, 3, seed=1)
    patches = PatchCore()._patches(Levels(*levels), torch.empty(1, 3, 8, 8))
    assert torch.allclose(patches[..., :5].norm(dim=3), torch.full((1, 4, 4), 0.5**0.5))
    assert torch.allclose(patches[..., 5:].norm(dim=3), torch.full((1, 4, 4), 0.5**0.5))


def test_the_score_is_the_largest_distance_to_the_nearest_patch(three: References, pool: Pool) -> None:
    detector = small().fit(three, pool)
    queries = as_images([crossed(30), drawn(31)])
    patches = detector._patches(detector.network(), next(queries.batches(64)))
    expected = torch.cdist(patches.flatten(1, 2), bank(detector)[None]).amin(2)
    assert len(bank(detector)) == 6 * 64
    assert torch.allclose(detector.predict(queries).image_scores, expected.amax(1), atol=1e-4)


def test_a_pool_never_makes_a_patch_farther_and_its_images_are_at_no_distance(three: References, pool: Pool) -> None:
    photos = as_images([drawn(10), drawn(40)])
    alone, more = (small(sigma=0).fit(three, given).predict(photos) for given in (None, pool))
    assert (more.anomaly_maps <= alone.anomaly_maps + 1e-5).all()
    assert more.image_scores[0] < 2e-3 < alone.image_scores[0]


def test_a_defect_scores_above_its_normal_twin(three: References, pool: Pool) -> None:
    scores = small(coreset_ratio=0.1).fit(three, pool).predict([crossed(30), drawn(30)]).image_scores
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    ("ratio", "total", "kept"),
    [("auto", 20_000, 20_000), ("auto", 20_001, 2000), (0.1, 1999, 199), (1, 30_000, 30_000), (0.01, 50, 1)],
)
def test_few_patches_are_all_kept_and_of_many_a_tenth(ratio: Any, total: int, kept: int) -> None:
    assert PatchCore(coreset_ratio=ratio)._count(total) == kept


@pytest.mark.parametrize(
    ("setting", "total", "dims"), [("auto", 200_000, 0), ("auto", 200_001, 128), (0, 10**7, 0), (16, 9, 16)]
)
def test_a_coreset_of_many_patches_is_chosen_by_projections(setting: Any, total: int, dims: int) -> None:
    assert PatchCore(projection=setting)._dimensions(total) == dims


@pytest.mark.parametrize("dims", [0, 16])
def test_a_coreset_holds_patches_of_the_images_that_its_sources_name(dims: int, three: References, pool: Pool) -> None:
    detector = small(coreset_ratio=0.05, projection=dims, batch=2, seed=3).fit(three, pool)
    every = bank(small().fit(three, pool))
    drawn_by = every @ projection(176, dims, 3) if dims else every
    chosen = greedy_coreset(drawn_by, 19, seed=3).sort().values
    assert torch.allclose(bank(detector), every[chosen], atol=1e-5)
    made_from = torch.tensor([0, 1, 2, 0, 2, -1])
    assert torch.equal(detector._ready().tensors["sources"], made_from[chosen // 64])


def test_memory_holds_projections_or_whole_patches_while_it_learns() -> None:
    levels = Levels(noise(1, 8, 8, 30), noise(1, 4, 4, 10))
    assert PatchCore()._values(levels) == 64 * 40
    assert PatchCore(projection=16)._values(levels) == 64 * 16


def test_a_reference_is_judged_without_its_patches_and_those_of_images_made_from_it(
    three: References, pool: Pool
) -> None:
    left_out = small().fit(three, pool).left_out
    others = References(three.images.take([1, 2]), "good", "part", seed=0, available=6)
    rest = write_pool(pool.folder.parent / "rest", [drawn(11), drawn(12)], [NO_SOURCE] * 2, category="good", mode="x")
    expected = small().fit(others, rest).predict(three.images.take([0])).image_scores
    assert torch.allclose(left_out[:1], expected, atol=1e-4)


def test_a_reference_that_gave_all_patches_of_a_coreset_is_judged_by_them(three: References) -> None:
    detector = small(coreset_ratio=0.05).fit(three)
    detector._ready().tensors["sources"].zero_()
    assert detector.left_out.isfinite().all()


def test_the_weight_is_that_of_equation_7() -> None:
    members = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [50.0, 0.0]])
    patches = torch.tensor([[[[0.0, -1.0], [2.0, 0.0]]]])
    maps = torch.tensor([[[1.0, 2.0]]])
    apart = torch.tensor([2.0, 5**0.5, 13**0.5]).exp()
    assert torch.allclose(weights(members, patches, maps, 3), 1 - apart[:1] / apart.sum())
    assert torch.equal(weights(members[:1], patches, maps, 3), torch.ones(1))


def test_the_weight_scales_score_and_map_alike(three: References) -> None:
    photos = [crossed(30), drawn(31)]
    plain, weighed = (small(neighbours=count).fit(three).predict(photos) for count in (1, 9))
    share = weighed.image_scores / plain.image_scores
    assert ((share > 0.5) & (share < 1)).all()
    assert torch.allclose(weighed.anomaly_maps, plain.anomaly_maps * share[:, None, None], rtol=1e-3)


def test_the_border_is_not_seen_and_its_map_is_zero(three: References) -> None:
    detector = small(border=8).fit(three)
    images = torch.cat([noise(1, 3, 80, 80)] * 2)
    images[1, :, :8], images[1, :, :, -8:] = 0, 1
    maps = detector._maps(images, None)
    _, shown = detector._judge(images, None)
    assert detector._ready().network.size == 80
    assert torch.equal(maps[0], maps[1])
    assert shown.shape == (2, 80, 80)
    assert not shown[:, :, :8].any()
    assert (shown[:, 8:-8, 8:-8] > 0).all()


def test_saved_and_loaded_it_gives_the_same(three: References, pool: Pool, tmp_path: Path, resnet: str) -> None:
    detector = PatchCore.paper(resnet, features_size=96, border=4, neighbours=3).fit(three, pool)
    detector.save(tmp_path / "saved")
    loaded, photos = PatchCore.load(tmp_path / "saved"), [drawn(30), crossed(31)]
    one, other = detector.predict(photos), loaded.predict(photos)
    assert torch.equal(one.image_scores, other.image_scores)
    assert torch.equal(one.anomaly_maps, other.anomaly_maps)
    assert torch.equal(detector.left_out, loaded.left_out)
    assert detector.settings() == loaded.settings()


def test_the_papers_settings_see_layers_2_and_3_of_the_middle_224_of_256_pixels(three: References, resnet: str) -> None:
    detector = PatchCore.paper(resnet, batch=1).fit(three)
    assert (detector.network().size, bank(detector).shape) == (256, (int(0.1 * 3 * 784), 1024))
    assert "/2,3 inside 16 px" in detector.network().name
    assert detector.predict([drawn(30)]).anomaly_maps.shape == (1, 256, 256)
    assert PatchCore.paper().features == "timm:wide_resnet50_2.tv_in1k"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("coreset_ratio", 0),
        ("coreset_ratio", 1.5),
        ("coreset_ratio", "some"),
        ("neighbourhood", 2),
        ("neighbours", 0),
        ("width", -1),
        ("projection", 1.5),
        ("sigma", float("nan")),
        ("border", -1),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(PresetError, match=f"patchcore: {setting} must be .*got"):
        PatchCore(**{setting: value}).check()


def test_it_judges_nothing_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError, match=r"PatchCore\(\).fit"):
        PatchCore().predict([drawn(0)])


def test_many_images_are_a_tenth_by_themselves(three: References, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchcore, "FEW", 3 * 64 - 1)
    assert len(bank(small().fit(three))) == int(0.1 * 3 * 64)
