from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import drawn
from normalgen.baselines.winclip import WinClip, harmonic, spread
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.detectors.one_to_normal.text_branch import text_vectors
from normalgen.detectors.specs import DetectorSpec
from normalgen.errors import PresetError
from normalgen.features.clip_windows import ClipWindows
from normalgen.features.open_clip import ClipFeatures
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References


@pytest.fixture
def settings(tiny_clip: str) -> dict[str, Any]:
    """A grid of 6 x 6 patches."""
    return {"features": f"clip:tiny-clip:{tiny_clip}", "features_size": 84}


def pool_of(folder: Path, *sources: dict[str, str]) -> Pool:
    images = [drawn(50 + i) for i in range(len(sources))]
    return write_pool(folder, images, [*sources], category="good", mode="img2img")


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return pool_of(tmp_path / "pool", NO_SOURCE, NO_SOURCE)


@pytest.fixture
def queries(photos: Path) -> Images:
    return Images.from_folder(photos).take([2, 3, 4])


def levels(tiny_clip: str, images: Images) -> tuple[list[Tensor], Tensor]:
    """Unit vectors of images, level by level, and the sentences' vectors."""
    network = ClipWindows(ClipFeatures("tiny-clip", weights=tiny_clip, size=84))
    assert network.text is not None
    given = next(images.batches(84, batch=9))
    return [normalize(level, dim=-1) for level in network.tokens(given)], text_vectors(network.text, "part")


def by_hand(scores: Tensor, side: int) -> Tensor:
    """Means over the windows that hold each of 6 x 6 patches, one window at a time."""
    result = torch.zeros(len(scores), 6, 6)
    for row, column in product(range(6), range(6)):
        above, left = (range(max(0, at - side + 1), min(at, 6 - side) + 1) for at in (row, column))
        holding = torch.stack([scores[:, i, j] for i, j in product(above, left)])
        result[:, row, column] = len(holding) / (1 / holding).sum(0)
    return result


@pytest.mark.parametrize(("side", "inner"), [(2, 4), (3, 9)])
def test_a_corner_is_in_one_window_and_an_inner_patch_in_4_or_9(side: int, inner: int) -> None:
    """A window whose score is infinite drops out of the sums, not out of the counts."""
    scores = torch.ones(1, 16 - side, 16 - side)
    scores[0, 0, 0] = scores[0, 6, 6] = torch.inf
    maps = spread(scores, 15, 15)[0]
    assert maps[0, 0] == torch.inf
    assert maps[6, 6] == pytest.approx(inner / (inner - 1))
    assert maps[14, 14] == 1


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_windows_are_spread_as_one_by_one(side: int) -> None:
    scores = torch.rand(2, 7 - side, 7 - side, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(spread(scores, 6, 6), by_hand(scores, side), rtol=1e-4)


def test_equal_values_are_their_own_harmonic_mean_and_others_lean_to_normal() -> None:
    same = torch.full((1, 4, 4), 0.3)
    assert torch.allclose(spread(same, 5, 5), torch.tensor(0.3))
    assert torch.allclose(harmonic([same, same, same]), torch.tensor(0.3))
    assert harmonic([torch.tensor(0.9), torch.tensor(0.1)]) == pytest.approx(0.18)


@pytest.mark.parametrize("score", [0.0, -1e-7])
def test_a_distance_of_zero_stays_finite_and_near_zero(score: float) -> None:
    scores = torch.full((1, 4, 4), 0.5)
    scores[0, 1, 1] = score
    maps = spread(scores, 5, 5)
    assert maps.isfinite().all()
    assert 0 < maps[0, 1, 1] < 5e-6
    assert maps[0, 4, 4] == 0.5


@pytest.mark.parametrize("temperature", [0.01, 0.07])
def test_without_memory_sentences_alone_decide(
    tiny_clip: str, settings: dict[str, Any], references: References, queries: Images, temperature: float
) -> None:
    detector = WinClip(**settings, memory=False, temperature=temperature).fit(references)
    (*scales, _), text = levels(tiny_clip, queries)
    whole, two, three = ((level @ text.T / temperature).softmax(-1)[..., 1] for level in scales)
    result = detector.predict(queries)
    assert torch.allclose(result.image_scores, whole[:, 0, 0], atol=1e-5)
    expected = 3 / (1 / whole + 1 / by_hand(two, 2) + 1 / by_hand(three, 3))
    assert torch.allclose(result.anomaly_maps, expected, atol=1e-5)


def test_the_memory_holds_windows_and_patches_of_references_and_pool(
    tiny_clip: str, settings: dict[str, Any], references: References, pool: Pool, queries: Images
) -> None:
    alone, both = (WinClip(**settings, memory=m).fit(references, pool).predict(queries) for m in (False, True))
    normal = [levels(tiny_clip, images)[0] for images in (references.images, pool.images)]
    near = []
    for level, query in [*enumerate(levels(tiny_clip, queries)[0])][1:]:
        bank = torch.cat([part[level] for part in normal]).flatten(0, 2)
        near.append(0.5 * (1 - (query @ bank.T).amax(-1)))
    strange = (by_hand(near[0], 2) + by_hand(near[1], 3) + near[2]) / 3
    assert torch.allclose(both.anomaly_maps, (alone.anomaly_maps + strange) / 2, atol=1e-5)
    assert torch.allclose(both.image_scores, (alone.image_scores + strange.flatten(1).amax(1)) / 2, atol=1e-5)


def test_a_reference_is_as_anomalous_as_sentences_alone_say(settings: dict[str, Any], references: References) -> None:
    alone, both = (WinClip(**settings, memory=m).fit(references).predict(references.images) for m in (False, True))
    assert torch.allclose(both.image_scores, alone.image_scores / 2, atol=1e-5)
    assert torch.allclose(both.anomaly_maps, alone.anomaly_maps / 2, atol=1e-5)


def test_a_pool_never_raises_a_score(
    settings: dict[str, Any], references: References, pool: Pool, queries: Images
) -> None:
    few, many = (WinClip(**settings).fit(references, some).predict(queries) for some in (None, pool))
    assert (many.anomaly_maps <= few.anomaly_maps + 1e-6).all()
    assert (many.image_scores < few.image_scores).any()


def test_a_reference_is_left_out_with_what_was_made_from_it(
    settings: dict[str, Any], references: References, pool: Pool, tmp_path: Path
) -> None:
    first = source_of(references.images.names[0], references.images.hashes()[0])
    left_out = WinClip(**settings).fit(references, pool_of(tmp_path / "more", NO_SOURCE, NO_SOURCE, first)).left_out
    other = WinClip(**settings).fit(References(references.images.take([1]), "good", "part", None, 1), pool)
    assert left_out[0] == pytest.approx(float(other.predict(references.images).image_scores[0]), abs=1e-5)
    assert len(left_out) == 2


def test_queries_are_judged_one_by_one_as_together(
    settings: dict[str, Any], references: References, pool: Pool, queries: Images
) -> None:
    one, many = (WinClip(**settings, batch=batch).fit(references, pool).predict(queries) for batch in (1, 8))
    assert torch.allclose(one.image_scores, many.image_scores, atol=1e-4)
    assert torch.allclose(one.anomaly_maps, many.anomaly_maps, atol=1e-4)


@pytest.mark.parametrize("memory", [True, False])
def test_saved_and_cached_detectors_give_the_same_scores(
    settings: dict[str, Any], references: References, queries: Images, tmp_path: Path, memory: bool
) -> None:
    detector = WinClip(**settings, memory=memory, cache=tmp_path / "cache").fit(references)
    first, again = detector.predict(queries), detector.predict(queries)
    detector.save(tmp_path / "saved")
    loaded = WinClip.load(tmp_path / "saved")
    for other in (again, loaded.predict(queries)):
        assert torch.equal(first.image_scores, other.image_scores)
        assert torch.equal(first.anomaly_maps, other.anomaly_maps)
    assert torch.equal(loaded.left_out, detector.left_out)
    assert loaded.settings() == detector.settings()


def test_sentences_name_the_object(settings: dict[str, Any], references: References, queries: Images) -> None:
    nuts = References(references.images, "good", "metal nut", 0, 6)
    part, nut = (WinClip(**settings, memory=False).fit(some).predict(queries) for some in (references, nuts))
    assert not torch.allclose(part.image_scores, nut.image_scores, atol=1e-4)


def test_a_higher_temperature_moves_sentences_to_a_half(
    settings: dict[str, Any], references: References, queries: Images
) -> None:
    sharp, soft = (
        WinClip(**settings, memory=False, temperature=t).fit(references).predict(queries).image_scores
        for t in (0.01, 0.07)
    )
    assert ((soft - 0.5).abs() < (sharp - 0.5).abs()).all()
    assert torch.equal(sharp.argsort(), soft.argsort())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": "vit"}, r"a text side: clip, clip:NAME, or clip:NAME:WEIGHTS .* got 'vit'"),
        ({"features": "timm:vit_base"}, "a text side"),
        ({"temperature": 0}, "temperature must be a number above 0, got 0"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"memory": "no"}, "memory must be true or false, got 'no'"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PresetError, match=message):
        WinClip(**wrong).check()


def test_it_is_named_and_has_the_papers_settings() -> None:
    spec = DetectorSpec.parse("winclip[memory=false]")
    assert spec.open(seed=0, device="cpu", cache=None) == WinClip(memory=False)
    paper = WinClip.paper(temperature=0.07)
    assert (paper.features, paper.features_size) == ("clip:ViT-B-16-plus-240:laion400m_e31", 240)
    assert (paper.temperature, WinClip().features, WinClip().temperature) == (0.07, "clip", 0.01)
