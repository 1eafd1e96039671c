"""What a fit learned is found again by an equal fit, and by no other."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import drawn

from normalgen.detectors import kept_fits
from normalgen.detectors.kept_fits import fit_once
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.diffusion.model import NormalModel
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, write_pool
from normalgen.references import References
from normalgen.settings.presets import change


@pytest.fixture
def model(model: NormalModel) -> NormalModel:
    return model.using(change(model.preset, twins={"strength": 0.5, "steps": 1}))


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    images = [drawn(seed) for seed in range(40, 43)]
    return write_pool(tmp_path / "pool", images, [NO_SOURCE] * 3, category="good", mode="img2img")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry per real fit."""
    counted, fit = list[None](), OneToNormal.fit

    def counting(self: OneToNormal, *given: Any, **named: Any) -> OneToNormal:
        counted.append(None)
        return fit(self, *given, **named)

    monkeypatch.setattr(OneToNormal, "fit", counting)
    return counted


def test_an_equal_fit_is_read_and_judges_equally(
    model: NormalModel, references: References, pool: Pool, photos: Path, tmp_path: Path, fits: list[None]
) -> None:
    made = [fit_once(OneToNormal(model=model, cache=tmp_path / "cache"), references, pool) for _ in range(2)]
    assert len(fits) == 1
    first, again = (detector.predict(Images.from_folder(photos)) for detector in made)
    assert torch.equal(first.image_scores, again.image_scores)
    assert torch.equal(first.anomaly_maps, again.anomaly_maps)
    assert made[0].settings() == made[1].settings()
    assert torch.equal(made[0].left_out, made[1].left_out)
    assert made[0].trained_from == made[1].trained_from


def test_no_cache_keeps_nothing(references: References, fits: list[None]) -> None:
    for _ in range(2):
        fit_once(OneToNormal(branches=("n",)), references, None)
    assert len(fits) == 2


OTHERS: dict[str, Any] = {
    "features": "vit",
    "features_size": 320,
    "branches": ("n",),
    "fusion": "paper",
    "reduce": "max",
    "choice": "mean",
    "bank": 3,
    "batch": 4,
    "seed": 1,
    "device": "meta",
}
"""Another value of each field that decides a result."""


def keys(detector: OneToNormal, references: References, pool: Pool | None, size: int = 0) -> str:
    return kept_fits._key(detector, references, pool, size)


@pytest.mark.parametrize("name", OTHERS)
def test_another_setting_is_another_fit(name: str, model: NormalModel, references: References) -> None:
    detector = OneToNormal(model=model)
    others = replace(detector, **{name: OTHERS[name]})
    if name == "device":
        others.network = lambda: detector.network()  # type: ignore[method-assign]
    assert keys(detector, references, None) != keys(others, references, None)


def test_every_field_is_in_the_key_or_known_to_decide_nothing() -> None:
    names = {field.name for field in fields(OneToNormal) if field.init}
    assert names == {*OTHERS, *kept_fits.UNDECIDING}


def test_other_text_maps_are_another_fit(references: References, tmp_path: Path) -> None:
    text, made = tmp_path / "text.safetensors", set()
    for content in (b"one", b"two"):
        text.write_bytes(content)
        made.add(keys(OneToNormal(text=str(text)), references, None))
    assert len(made) == 2


INPUTS: dict[str, Callable[[References], References]] = {
    "another noun": lambda references: replace(references, noun="nut"),
    "another category": lambda references: replace(references, category="nut"),
    "other tiles": lambda references: replace(references, tile=32),
    "another crop": lambda references: replace(references, images=references.images.cropped("center")),
    "another order": lambda references: replace(references, images=references.images.take([1, 0])),
    "one photo fewer": lambda references: replace(references, images=references.images.take([0])),
}


@pytest.mark.parametrize("name", INPUTS)
def test_other_references_are_another_fit(name: str, references: References) -> None:
    detector = OneToNormal()
    assert keys(detector, references, None) != keys(detector, INPUTS[name](references), None)


def test_another_model_pool_size_or_code_is_another_fit(
    model: NormalModel, references: References, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = OneToNormal(model=model)
    stronger = model.using(change(model.preset, twins={"strength": 0.9}))
    made = [keys(detector, references, None), keys(detector, references, pool), keys(detector, references, None, 48)]
    made += [keys(detector, references, replace(pool, rows=pool.rows[::-1]))]
    made += [keys(replace(detector, model=other), references, None) for other in (None, stronger)]
    monkeypatch.setattr(kept_fits, "_code", lambda kind: "changed")
    made.append(keys(detector, references, None))
    monkeypatch.setattr(torch, "__version__", "99")
    made.append(keys(detector, references, None))
    assert len(set(made)) == 8


def test_a_damaged_entry_is_fitted_again(
    references: References, tmp_path: Path, fits: list[None], caplog: pytest.LogCaptureFixture
) -> None:
    detector = OneToNormal(branches=("n",), cache=tmp_path / "cache")
    whole = fit_once(replace(detector), references, None).left_out
    (path,) = (tmp_path / "cache" / "fits").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert torch.equal(fit_once(replace(detector), references, None).left_out, whole)
    fit_once(replace(detector), references, None)
    assert len(fits) == 2


def test_what_would_crowd_the_cache_is_not_kept(
    references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_fits, "LARGEST", 1000)
    fit_once(OneToNormal(branches=("n",), cache=tmp_path / "cache"), references, None)
    assert not (tmp_path / "cache" / "fits").exists()


def test_a_branch_alone_needs_no_drawn_defects(references: References) -> None:
    stages: list[tuple[str, int]] = []
    OneToNormal(branches=("n",)).fit(references, watch=lambda stage, done, total: stages.append((stage, total)))
    assert ("learn normal", 12) in stages
