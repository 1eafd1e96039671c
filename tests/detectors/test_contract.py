"""What every detector of the registry keeps to; a new line in `DETECTORS` joins by itself."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import pytest
import timm
import torch
from conftest import drawn
from detecting import crossed
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import Tensor

from normalgen.detectors.base import JudgingDetector, Prediction
from normalgen.detectors.saved import load_detector
from normalgen.detectors.specs import DETECTORS, DetectorSpec
from normalgen.errors import DataError, NotFittedError, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.finite import NotFinite
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References

Make = Callable[[], Any]
TOGETHER, CLOSE = 16, 1e-4
CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 84, "layers": 4, "width": 32, "head_width": 16, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def _network(make: Callable[[str], Any], name: str, folder: Path) -> str:
    """Return a file of random weights of the network called `name`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = make(name).state_dict()
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return str(path)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """Features that run in milliseconds; each detector takes the first that suits it."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "contract-clip.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(folder)
    convolutional, transformer = (_network(timm.create_model, name, folder) for name in ("test_resnet", "test_vit"))
    clip = _network(open_clip.create_model, "contract-clip", folder)
    names = "cnn", f"timm:test_resnet:{convolutional}", f"timm:test_vit:{transformer}", f"clip:contract-clip:{clip}"
    yield [{"features": features} | ({"features_size": 64} if features == "cnn" else {}) for features in names]
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    del open_clip.factory._MODEL_CONFIGS["contract-clip"]


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> References:
    folder = tmp_path_factory.mktemp("shots")
    for seed in range(3):
        drawn(seed).save(folder / f"{seed}.png")
    return References(Images.from_folder(folder), "good", "part", seed=0, available=3)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Images of another size than the references."""
    images = [drawn(seed, 56) for seed in range(40, 44)]
    return write_pool(tmp_path_factory.mktemp("pool"), images, [NO_SOURCE] * 4, category="good", mode="img2img")


@pytest.fixture(scope="module", params=DETECTORS)
def make(request: pytest.FixtureRequest, networks: list[dict[str, Any]], shots: References) -> Make:
    """Return what makes one of the detectors, unfitted."""
    name = request.param
    slow = name == "one-to-normal"  # it judges many views of left-out references at the full size of the CNN
    fixed = {"branches": ("n",)} if slow else {}
    refused: list[str] = []
    for given in networks[1:] if slow else networks:
        spec = DetectorSpec(name, DETECTORS[name], {**given, **fixed}, {})
        try:
            spec.open(seed=0, device="cpu", cache=None).fit(replace(shots, images=shots.images.take([0, 1])))
        except PresetError as error:
            refused.append(str(error))
            continue
        return lambda: spec.open(seed=0, device="cpu", cache=None)
    raise AssertionError(f"{name} takes none of the features: {refused}")


@pytest.fixture(scope="module")
def fitted(make: Make, shots: References, pool: Pool) -> Any:
    return make().fit(shots, pool)


@pytest.fixture(scope="module")
def queries() -> list[Image.Image]:
    return [make(seed) for seed in range(60, 68) for make in (drawn, crossed)]


@pytest.fixture(scope="module")
def scored(fitted: Any, queries: list[Image.Image]) -> Prediction:
    prediction: Prediction = fitted.predict(queries)
    return prediction


def test_fit_returns_the_detector_and_nothing_is_predicted_before(
    make: Make, fitted: JudgingDetector, queries: list[Image.Image]
) -> None:
    detector = make()
    assert not detector.is_fitted
    with pytest.raises(NotFittedError):
        detector.predict(queries)
    assert type(fitted) is type(detector)
    assert fitted.is_fitted


def test_there_is_one_finite_score_and_one_map_per_query(scored: Prediction) -> None:
    assert scored.image_scores.shape == (TOGETHER,)
    assert scored.anomaly_maps.ndim == 3
    assert len(scored.anomaly_maps) == TOGETHER
    assert torch.isfinite(scored.image_scores).all()
    assert torch.isfinite(scored.anomaly_maps).all()


def test_a_defect_scores_above_its_normal_twin(scored: Prediction) -> None:
    normal, defective = scored.image_scores.view(-1, 2).unbind(1)
    assert (defective > normal).float().mean() > 0.8


def test_one_query_or_sixteen_at_once_score_alike(
    fitted: JudgingDetector, queries: list[Image.Image], scored: Prediction
) -> None:
    alone = torch.cat([fitted.predict([query]).image_scores for query in queries[:4]])
    assert torch.allclose(alone, scored.image_scores[:4], rtol=CLOSE, atol=CLOSE)


def test_the_same_seed_gives_the_same_scores_and_a_second_fit_forgets_the_first(
    make: Make, shots: References, pool: Pool, queries: list[Image.Image], scored: Prediction
) -> None:
    detector = make().fit(replace(shots, images=shots.images.take([2, 1])))
    other = detector.predict(queries).image_scores
    again = detector.fit(shots, pool).predict(queries)
    assert torch.equal(again.image_scores, scored.image_scores)
    assert torch.equal(again.anomaly_maps, scored.anomaly_maps)
    assert not torch.equal(other, scored.image_scores)


def test_an_empty_pool_is_like_none_and_a_pool_is_not(
    make: Make, shots: References, pool: Pool, queries: list[Image.Image], scored: Prediction
) -> None:
    without, empty = (make().fit(shots, given).predict(queries) for given in (None, replace(pool, rows=())))
    assert torch.equal(without.image_scores, empty.image_scores)
    assert not torch.equal(without.anomaly_maps, scored.anomaly_maps)


def test_what_a_detector_is_given_stays_as_it_was(
    make: Make, shots: References, pool: Pool, queries: list[Image.Image]
) -> None:
    before = shots.images.pixels(40), pool.images.pixels(56), [query.tobytes() for query in queries]
    make().fit(shots, pool).predict(queries)
    after = shots.images.pixels(40), pool.images.pixels(56), [query.tobytes() for query in queries]
    assert all(torch.equal(*pair) for pair in zip(before[:2], after[:2], strict=True))
    assert before[2] == after[2]


def test_a_saved_detector_scores_alike_and_knows_what_it_was_fitted_on(
    fitted: JudgingDetector, queries: list[Image.Image], scored: Prediction, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "saved")
    loaded = load_detector(tmp_path / "saved")
    assert type(loaded) is type(fitted)
    again = loaded.predict(queries)
    assert torch.equal(again.image_scores, scored.image_scores)
    assert torch.equal(again.anomaly_maps, scored.anomaly_maps)
    assert torch.equal(loaded.left_out, fitted.left_out)
    assert loaded.settings() == json.loads(json.dumps(fitted.settings())) | {
        name: value for name, value in fitted.settings().items() if isinstance(value, tuple)
    }
    assert loaded.trained_from == fitted.trained_from
    assert loaded.described() == fitted.described()


@pytest.mark.parametrize(("entry", "value"), [("version", "0.0.1"), ("detector", "another"), ("network", "eyes")])
def test_a_saved_detector_of_another_version_kind_or_network_is_refused(
    fitted: JudgingDetector, tmp_path: Path, entry: str, value: str
) -> None:
    fitted.save(tmp_path / "saved")
    path = tmp_path / "saved" / "detector.json"
    record = {name: held for name, held in json.loads(path.read_text()).items() if name != "sha256"}
    path.write_text(json.dumps(record | {entry: value}))
    with pytest.raises(DataError, match=value) as refused:
        load_detector(tmp_path / "saved")
    ours = {"version": "0.1.0", "detector": "one-to-normal, memory", "network": fitted.settings()["network"]}
    assert ours[entry] in str(refused.value)


def test_a_left_out_reference_is_judged_without_itself_and_what_was_made_from_it(
    make: Make, shots: References, tmp_path: Path
) -> None:
    copies, digests = [*shots.images], shots.images.hashes()
    sourced, unsourced = (
        write_pool(tmp_path / mode, copies, sources, category="good", mode=mode)
        for mode, sources in (
            ("known", [source_of(f"{i}.png", digest) for i, digest in enumerate(digests)]),
            ("unknown", [NO_SOURCE] * 3),
        )
    )
    known, unknown = (make().fit(shots, given).left_out for given in (sourced, unsourced))
    assert len(known) == len(unknown) >= 3
    assert known.mean() > unknown.mean()


def test_a_reference_seen_in_training_scores_lower_than_left_out(make: Make, shots: References) -> None:
    detector = make().fit(shots)
    seen: Tensor = detector.predict([*shots.images]).image_scores
    assert detector.left_out.mean() > seen.mean()


def test_features_that_are_not_finite_are_refused_by_the_photo_s_name(
    shots: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [drawn(40), drawn(41), ImageOps.invert(drawn(42))]
    pool = write_pool(tmp_path / "pool", images, [NO_SOURCE] * 3, category="good", mode="img2img")
    given = {"features": "cnn", "features_size": 64}
    memory = DetectorSpec("memory", DETECTORS["memory"], given, {}).open(seed=0, device="cpu", cache=None)
    memory.fit(shots)
    maps = CnnFeatures._maps

    def spoilt(features: CnnFeatures, network: Any, images: Tensor) -> Any:
        levels = maps(features, network, images)
        rows = [row for row, image in enumerate(images) if image.mean() > 0.5]  # the inverted one
        return [level.index_fill(0, torch.tensor(rows, dtype=torch.long), torch.nan) for level in levels]

    monkeypatch.setattr(CnnFeatures, "_maps", spoilt)
    with pytest.raises(NotFinite, match=r"features cnn:\S+ of 00002.png are not finite"):
        memory.predict(pool.images)
    for name in ("memory", "one-to-normal"):
        fixed = {"branches": ("n",)} if name == "one-to-normal" else {}
        detector = DetectorSpec(name, DETECTORS[name], {**given, **fixed}, {}).open(seed=0, device="cpu", cache=None)
        with pytest.raises(NotFinite, match=r"features cnn:\S+ of 00002.png are not finite"):
            detector.fit(shots, pool)


def test_a_bank_larger_than_the_memory_is_refused_before_any_image_is_read(
    shots: References, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DetectorSpec("memory", DETECTORS["memory"], {"features": "cnn", "features_size": 64, "grid": 8}, {})
    needed = 7 * (4 * 8 * 8 * 176 + 3 * 64 * 64)
    monkeypatch.setattr("normalgen.io.free_memory.free_memory", lambda: needed)
    assert spec.open(seed=0, device="cpu", cache=None).fit(shots, pool)
    monkeypatch.setattr("normalgen.io.free_memory.free_memory", lambda: needed - 1)
    monkeypatch.setattr(Images, "photo", None)
    with pytest.raises(PresetError, match=r"memory on 7 images needs 0\.0 GB, and .* are free; lower grid"):
        spec.open(seed=0, device="cpu", cache=None).fit(shots, pool)
