from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from conftest import drawn

from normalgen.customizing import auto_augment as module
from normalgen.customizing.auto_augment import settled, suited
from normalgen.customizing.dreambooth import fine_tune
from normalgen.images.images import Images
from normalgen.images.turning import Turnable, turnable
from normalgen.io.progress import Watch
from normalgen.io.run_folder import read_record
from normalgen.pool.generate import draw_shard, fill_pool
from normalgen.pool.journal import RUN
from normalgen.pool.workers import Shard
from normalgen.references import References
from normalgen.settings.presets import Preset, change


def laid(angle: Callable[[int], int], count: int = 3, size: int = 128) -> list[Turnable]:
    """Drawn parts, each turned by an angle of its own."""
    pictures = [drawn(i, size).rotate(angle(i), fillcolor=(60, 60, 60)) for i in range(count)]
    return [turnable(torch.from_numpy(np.array(picture)).permute(2, 0, 1)) for picture in pictures]


@pytest.mark.parametrize(
    ("angle", "kind"),
    [(lambda i: 0, "safe"), (lambda i: 90 * i, "turned"), (lambda i: 75 * i + 20, "turned")],
    ids=["upright", "on any side", "at any angle"],
)
def test_parts_are_turned_as_the_references_lie(angle: Callable[[int], int], kind: str) -> None:
    assert suited(laid(angle)) == kind


def test_one_reference_says_nothing() -> None:
    assert suited(laid(lambda i: 0, count=1)) == "safe"


def test_choosing_the_augmentation_reports_each_reference_and_kind() -> None:
    seen: list[tuple[str, int, int]] = []
    suited(laid(lambda i: 0, count=2), lambda *step: seen.append(step))
    assert seen == [("augmentation", done, 4) for done in range(5)]


def test_auto_is_settled_once_for_the_same_photos(
    small: Preset, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def watched(images: list[Turnable], watch: Watch) -> str:
        asked.append(len(images))
        return "turned"

    monkeypatch.setattr(module, "suited", watched)
    auto = change(small, augment="auto")
    assert [settled(auto, references).augment for _ in range(2)] == ["turned", "turned"]
    assert asked == [2]
    assert settled(small, references) is small
    other = replace(references, images=Images(references.images.items[:1]))
    settled(auto, other)
    assert asked == [2, 1]


@pytest.fixture
def turned(small: Preset, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Auto, on references that call for turns."""
    monkeypatch.setattr(module, "suited", lambda images, watch: "turned")
    return change(small, augment="auto")


def test_model_and_pool_say_what_auto_became(turned: Preset, references: References, tmp_path: Path) -> None:
    model = fine_tune(references, turned, tmp_path / "model")
    assert model.preset.augment == "turned"
    fill_pool(model.using(change(model.preset, augment="auto")), references, 2, tmp_path / "pool")
    record = read_record(tmp_path / "pool.normalgen" / RUN)
    assert record is not None
    assert record["settings"]["augment"] == record["preset"]["augment"] == "turned"


def test_a_pool_without_diffusion_is_settled_too(turned: Preset, references: References, tmp_path: Path) -> None:
    for kind, name in (("auto", "a"), ("turned", "b"), ("safe", "c")):
        fill_pool(change(turned, pool={"plain": 1.0}, augment=kind), references, 2, tmp_path / name)
    first = [(tmp_path / name / "images" / "00000.png").read_bytes() for name in "abc"]
    assert first[0] == first[1] != first[2]


def test_workers_of_one_pool_settle_auto_alike(turned: Preset, references: References, tmp_path: Path) -> None:
    model = fine_tune(references, turned, tmp_path / "model")
    auto = model.using(change(model.preset, augment="auto", pool={"mix": 1.0}))
    fill_pool(auto, references, 8, tmp_path / "alone")
    for number in (1, 2):
        draw_shard(auto, references, 8, tmp_path / "shared", Shard(number, 2))
    rows = [(tmp_path / name / "metadata.jsonl").read_bytes() for name in ("alone", "shared")]
    assert rows[0] == rows[1]
    assert (tmp_path / "alone/images/00007.png").read_bytes() == (tmp_path / "shared/images/00007.png").read_bytes()


def test_a_spoilt_file_in_the_cache_is_made_again(small: Preset, references: References) -> None:
    auto = change(small, augment="auto")
    found = settled(auto, references).augment
    (path,) = (platformdirs.user_cache_path("normalgen") / "augment").glob("*.json")
    for text in ("[]", '{"augment": "auto"}', "{"):
        path.write_text(text)
        assert settled(auto, references).augment == found
