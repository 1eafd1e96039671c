"""The contract of a detector, and what is One-to-Normal's own."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from conftest import drawn
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import cosine_similarity

from normalgen.detectors.one_to_normal.branches import Branches
from normalgen.detectors.one_to_normal.calibration import Usual
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.one_to_normal.triplet import Choice, Reduce
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, NotFittedError, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.images import Images, to_tensor
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.pool.generate import fill_pool
from normalgen.references import References
from normalgen.settings.presets import Preset, change


@pytest.fixture
def fast(model: NormalModel) -> NormalModel:
    return model.using(change(model.preset, twins={"strength": 0.5, "steps": 1}, pool={"plain": 1.0}))


@pytest.fixture
def pool(fast: NormalModel, references: References, tmp_path: Path) -> Pool:
    return fill_pool(fast, references, 4, tmp_path / "pool")


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
    return OneToNormal(model=fast).fit(references, pool)


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
    scores = [OneToNormal(model=fast, batch=batch).fit(references, pool).predict(queries) for batch in (1, 16)]
    assert torch.allclose(scores[0].image_scores, scores[1].image_scores, atol=0.05)
    raw = [OneToNormal(model=fast, batch=b, fusion="paper").fit(references, pool).predict(queries) for b in (1, 16)]
    assert torch.allclose(raw[0].image_scores, raw[1].image_scores, atol=1e-4)


def test_same_seed_same_scores_and_refit_forgets(
    fitted: OneToNormal, fast: NormalModel, references: References, queries: Images
) -> None:
    alone = OneToNormal(model=fast).fit(references).predict(queries).image_scores
    assert not torch.equal(fitted.predict(queries).image_scores, alone)
    assert torch.equal(fitted.fit(references).predict(queries).image_scores, alone)


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
        limit: OneToNormal(model=fast, bank=limit).fit(references, pool).settings()["bank_images"]
        for limit in (0, 3, 1)
    }
    assert sizes == {0: 6, 3: 3, 1: 2}


def test_branches_can_be_left_out_and_fused_is_their_sum(
    fast: NormalModel, references: References, queries: Images
) -> None:
    both = OneToNormal(model=fast, fusion="paper").fit(references)
    (found,) = both.explain(queries)
    assert found.twins is not None
    assert torch.allclose(found.scores["fused"], found.scores["p"] + found.scores["n"])
    for branch in ("p", "n"):
        alone = OneToNormal(model=fast, fusion="paper", branches=(branch,)).fit(references)
        assert torch.allclose(alone.predict(queries).image_scores, found.scores[branch], atol=1e-5)
    assert OneToNormal(branches=("n",)).fit(references).predict(queries).image_scores.isfinite().all()


def twin_maps(model: NormalModel, queries: Images) -> dict[Choice, Tensor]:
    """Branch p's maps on the finest level (N, h, w), by each choice."""
    images, keys = torch.stack([to_tensor(image, 32) for image in queries]), [f"{key}-None" for key in queries.hashes()]
    parts = (CnnFeatures(), Personalizer(model), None, False, 2)
    return {choice: Branches(*parts, choice).compare(images, keys, None)[1]["p"][0] for choice in get_args(Choice)}


def test_the_choice_is_the_most_similar_candidate_or_the_mean_or_least_distance_of_all(
    fast: NormalModel, queries: Images
) -> None:
    three, network = fast.using(change(fast.preset, twins={"prompts": 3})), CnnFeatures()
    made = Personalizer(three).personalize(queries)
    tokens = network.tokens(made.queries)[0]
    each = [1 - cosine_similarity(tokens, network.tokens(one)[0], dim=-1) for one in made.candidates.unbind(1)]
    assert (each[0] - each[1]).abs().max() > 1e-3
    found, by_prompt = twin_maps(three, queries), torch.stack(each)
    assert torch.allclose(found["ssim"], by_prompt[made.similarities.argmax(1), torch.arange(5)], atol=1e-5)
    assert torch.allclose(found["mean"], by_prompt.mean(0), atol=1e-5)
    assert torch.allclose(found["min_map"], by_prompt.amin(0), atol=1e-5)


def test_with_one_prompt_every_choice_is_the_same(fast: NormalModel, queries: Images) -> None:
    found = twin_maps(fast, queries)
    assert torch.equal(found["ssim"], found["mean"])
    assert torch.equal(found["ssim"], found["min_map"])


def test_the_choice_is_saved_and_an_unknown_one_refused(references: References, tmp_path: Path) -> None:
    OneToNormal(choice="min_map", branches=("n",)).fit(references).save(tmp_path / "d")
    loaded = OneToNormal.load(tmp_path / "d")
    assert (loaded.choice, loaded.settings()["choice"]) == ("min_map", "min_map")
    assert loaded.fitted_ is not None
    assert loaded.fitted_.branches.choice == "min_map"
    with pytest.raises(PresetError, match="choice must be one of ssim, mean, min_map, got 'best'"):
        OneToNormal(choice="best").check()  # type: ignore[arg-type]


def test_one_reference_is_enough(fast: NormalModel, references: References, queries: Images) -> None:
    single = replace(references, images=references.images.take([0]))
    assert OneToNormal(model=fast).fit(single).predict(queries).image_scores.isfinite().all()


def test_a_pool_or_model_of_another_category_is_refused(fast: NormalModel, references: References, pool: Pool) -> None:
    other = replace(references, category="other")
    with pytest.raises(DataError, match="the model is for 'good', the references show 'other'"):
        OneToNormal(model=fast).fit(other)
    with pytest.raises(DataError, match="the pool is for 'good', the references show 'other'"):
        OneToNormal(branches=("n",)).fit(other, pool)


def test_settings_that_cannot_work_are_refused(fast: NormalModel, references: References) -> None:
    for branches, message in (
        (("q",), "some of p, n, text, got q"),
        ((), "got none"),
        (("text",), "text side, got 'embedded'"),
    ):
        with pytest.raises(PresetError, match=message):
            OneToNormal(model=fast, branches=branches).fit(references)
    with pytest.raises(PresetError, match="needs a customized model"):
        OneToNormal().fit(references)


def test_what_is_kept_of_one_pool_is_never_taken_for_another(
    fast: NormalModel, references: References, pool: Pool, tmp_path: Path
) -> None:
    other = write_pool(
        tmp_path / "other", [drawn(i) for i in range(60, 64)], [NO_SOURCE] * 4, category="good", mode="real"
    )
    OneToNormal(model=fast, cache=tmp_path / "cache").fit(references, pool)
    kept = OneToNormal(model=fast, cache=tmp_path / "cache").fit(references, other)
    fresh = OneToNormal(model=fast).fit(references, other)
    assert kept.fitted_ is not None
    assert fresh.fitted_ is not None
    for one, another in zip(kept.fitted_.moments["p"].means, fresh.fitted_.moments["p"].means, strict=True):
        assert torch.allclose(one, another, atol=1e-6)


def test_inputs_are_not_changed(fitted: OneToNormal, queries: Images) -> None:
    hashes = queries.hashes()
    first = fitted.predict(queries).image_scores
    assert queries.hashes() == hashes
    assert torch.equal(fitted.predict(queries).image_scores, first)


def test_fitting_reports_each_reference_and_then_the_pool(references: References) -> None:
    seen: list[tuple[str, int, int]] = []
    OneToNormal(branches=("n",)).fit(references, watch=lambda *step: seen.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["read references", "fill bank", "learn normal"]
    for stage in stages:
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert (steps[0][0], steps[-1][0]) == (0, steps[-1][1])
        assert len(steps) > 2 or stage != "learn normal"


def test_any_aspect_ratio_works(fitted: OneToNormal, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for name, size in (("wide", (90, 20)), ("tall", (17, 80)), ("dot", (2, 1))):
        image = Image.new("RGB", size, "grey")
        image.putpixel((0, 0), (0, 0, 0))
        image.resize((size[0] * 4, size[1] * 4)).save(tmp_path / "odd" / f"{name}.png")
    assert fitted.predict(Images.from_folder(tmp_path / "odd")).image_scores.isfinite().all()


def weighing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, float], str]]:
    """The trust and reduce of every weighing of branches from now on."""
    asked: list[tuple[dict[str, float], str]] = []
    plain = Usual.weights

    def weights(self: Usual, trust: dict[str, float], reduce: Reduce) -> dict[str, float]:
        asked.append((dict(trust), reduce))
        return plain(self, trust, reduce)

    monkeypatch.setattr(Usual, "weights", weights)
    return asked


@pytest.mark.parametrize("reduce", get_args(Reduce))
def test_branches_are_weighed_with_the_reduce_that_was_asked_for(
    reduce: Reduce, fast: NormalModel, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = weighing(monkeypatch)
    OneToNormal(model=fast, reduce=reduce).fit(references)
    OneToNormal(reduce=reduce, branches=("n",)).fit(references)
    assert asked == [({"p": 0.1}, reduce), ({}, reduce)]


def test_twins_of_stable_diffusion_are_trusted_in_full(
    stable: Preset, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = weighing(monkeypatch)
    preset = change(stable, twins={"prompts": 1, "strength": 0.1})
    model = NormalModel(open_parts(preset.weights), preset, category="good", noun="part")
    OneToNormal(model=model).fit(references)
    assert asked == [({"p": 1.0}, "top")]
