"""The contract of a detector, and what is One-to-Normal's own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import drawn
from PIL import Image, ImageDraw

from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, NotFittedError, PresetError
from normalgen.images import Images
from normalgen.one_to_normal import OneToNormal
from normalgen.pool import Pool, generate_pool
from normalgen.references import References


@pytest.fixture
def fast(model: NormalModel) -> NormalModel:
    return model.using(replace(model.preset, twin_strength=0.5, twin_steps=1, plain=1.0))


@pytest.fixture
def pool(fast: NormalModel, references: References, tmp_path: Path) -> Pool:
    return generate_pool(fast, references, 4, tmp_path / "pool")


@pytest.fixture
def queries(tmp_path: Path) -> Images:
    """Four good parts and one with a black cross."""
    folder = tmp_path / "queries"
    folder.mkdir()
    for seed in range(20, 25):
        image = drawn(seed)
        if seed == 24:
            pen = ImageDraw.Draw(image)
            pen.line((10, 15, 26, 31), "black", 4)
            pen.line((10, 31, 26, 15), "black", 4)
        image.save(folder / f"{seed}.png")
    return Images.from_folder(folder)


@pytest.fixture
def fitted(fast: NormalModel, references: References, pool: Pool) -> OneToNormal:
    return OneToNormal().fit(references, pool, fast)


def test_a_defect_scores_above_its_normal_fellows(fitted: OneToNormal, queries: Images) -> None:
    found = fitted.predict(queries)
    assert found.image_scores.shape == (5,)
    assert found.anomaly_maps.shape == (5, 32, 32)
    assert found.image_scores.argmax() == 4


def test_the_map_is_hot_where_the_defect_is(fitted: OneToNormal, queries: Images) -> None:
    hottest = fitted.predict(queries).anomaly_maps[4].flatten().argmax()
    row, column = divmod(int(hottest), 32)
    assert 10 / 40 * 32 <= row <= 33 / 40 * 32
    assert 8 / 40 * 32 <= column <= 28 / 40 * 32


def test_predict_before_fit_says_what_to_do(queries: Images) -> None:
    for use in (OneToNormal().predict, lambda images: list(OneToNormal().explain(images))):
        with pytest.raises(NotFittedError, match="fit the detector first"):
            use(queries)


def test_scores_do_not_depend_on_the_batch(
    fast: NormalModel, references: References, pool: Pool, queries: Images
) -> None:
    scores = [OneToNormal(batch=batch).fit(references, pool, fast).predict(queries) for batch in (1, 16)]
    assert torch.allclose(scores[0].image_scores, scores[1].image_scores, atol=0.05)
    raw = [OneToNormal(batch=b, fusion="paper").fit(references, pool, fast).predict(queries) for b in (1, 16)]
    assert torch.allclose(raw[0].image_scores, raw[1].image_scores, atol=1e-4)


def test_same_seed_same_scores_and_refit_forgets(
    fitted: OneToNormal, fast: NormalModel, references: References, queries: Images
) -> None:
    alone = OneToNormal().fit(references, None, fast).predict(queries).image_scores
    assert not torch.equal(fitted.predict(queries).image_scores, alone)
    assert torch.equal(fitted.fit(references, None, fast).predict(queries).image_scores, alone)


def test_a_saved_detector_scores_the_same(fitted: OneToNormal, queries: Images, tmp_path: Path) -> None:
    before = fitted.predict(queries)
    fitted.save(tmp_path / "d")
    loaded = OneToNormal.load(tmp_path / "d")
    after = loaded.predict(queries)
    assert torch.equal(before.image_scores, after.image_scores)
    assert torch.equal(before.anomaly_maps, after.anomaly_maps)
    assert loaded.settings() == fitted.settings()
    assert torch.equal(loaded.left_out, fitted.left_out)


def test_the_bank_holds_references_first_and_then_the_pool_by_index(
    fast: NormalModel, references: References, pool: Pool
) -> None:
    sizes = {
        limit: OneToNormal(bank=limit).fit(references, pool, fast).settings()["bank_images"] for limit in (0, 3, 1)
    }
    assert sizes == {0: 6, 3: 3, 1: 2}


def test_branches_can_be_left_out_and_fused_is_their_sum(
    fast: NormalModel, references: References, queries: Images
) -> None:
    both = OneToNormal(fusion="paper").fit(references, None, fast)
    (found,) = both.explain(queries)
    assert found.twins is not None
    assert torch.allclose(found.scores["fused"], found.scores["p"] + found.scores["n"])
    for branch in ("p", "n"):
        alone = OneToNormal(fusion="paper", branches=(branch,)).fit(references, None, fast)
        assert torch.allclose(alone.predict(queries).image_scores, found.scores[branch], atol=1e-5)
    assert OneToNormal(branches=("n",)).fit(references).predict(queries).image_scores.isfinite().all()


def test_one_reference_is_enough(fast: NormalModel, references: References, queries: Images) -> None:
    single = replace(references, images=references.images.take([0]))
    assert OneToNormal().fit(single, None, fast).predict(queries).image_scores.isfinite().all()


def test_a_pool_or_model_of_another_category_is_refused(fast: NormalModel, references: References, pool: Pool) -> None:
    other = replace(references, category="other")
    with pytest.raises(DataError, match="the model is of 'good', the references are of 'other'"):
        OneToNormal().fit(other, None, fast)
    with pytest.raises(DataError, match="the pool is of 'good', the references are of 'other'"):
        OneToNormal(branches=("n",)).fit(other, pool)


def test_settings_that_cannot_work_are_refused(fast: NormalModel, references: References) -> None:
    for branches, message in ((("q",), "some of p, n, text, got q"), ((), "got none"), (("text",), "no text side")):
        with pytest.raises(PresetError, match=message):
            OneToNormal(branches=branches).fit(references, None, fast)
    with pytest.raises(PresetError, match="needs a customized model"):
        OneToNormal().fit(references)


def test_inputs_are_not_changed(fitted: OneToNormal, queries: Images) -> None:
    hashes = queries.hashes()
    first = fitted.predict(queries).image_scores
    assert queries.hashes() == hashes
    assert torch.equal(fitted.predict(queries).image_scores, first)


def test_any_aspect_ratio_works(fitted: OneToNormal, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for name, size in (("wide", (90, 20)), ("tall", (17, 80)), ("dot", (1, 1))):
        Image.new("RGB", size, "grey").save(tmp_path / "odd" / f"{name}.png")
    assert fitted.predict(Images.from_folder(tmp_path / "odd")).image_scores.isfinite().all()
