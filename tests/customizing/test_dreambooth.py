import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import ImageOps

from normalgen.customizing.dreambooth import fine_tune
from normalgen.customizing.saved_models import find_model, is_customized
from normalgen.customizing.training_batches import class_images
from normalgen.diffusion import training
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, PresetError
from normalgen.images.images import Images
from normalgen.references import References
from normalgen.settings.presets import Preset, change
from normalgen.settings.prompts import INSTANCE_PROMPT


def weights(folder: Path) -> bytes:
    return (folder / "tiny.safetensors").read_bytes()


def test_a_model_knows_its_category_noun_and_references(references: References, small: Preset, tmp_path: Path) -> None:
    model = fine_tune(references, small, tmp_path / "m")
    assert (model.category, model.noun) == ("good", "part")
    manifest = json.loads((tmp_path / "m" / "references.json").read_text())
    assert [row["sha256"] for row in manifest["references"]] == references.images.hashes()
    assert sorted(path.name for path in (tmp_path / "m").iterdir() if not path.name.startswith(".")) == [
        "customize.json",
        "preset.json",
        "references.json",
        "tiny.json",
        "tiny.safetensors",
    ]


def test_customizing_twice_gives_the_same_bytes(references: References, small: Preset, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fine_tune(references, small, tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_a_finished_model_is_loaded_not_made_again(references: References, small: Preset, tmp_path: Path) -> None:
    fine_tune(references, small, tmp_path / "m")
    stages: list[str] = []
    fine_tune(references, small, tmp_path / "m", watch=lambda stage, done, total: stages.append(stage))
    assert stages == []


def test_a_killed_customization_goes_on_to_the_same_bytes(
    references: References, small: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.TrainingPlan, "checkpoint_every", 1)
    fine_tune(references, small, tmp_path / "whole")

    def kill(model: NormalModel) -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fine_tune(references, small, tmp_path / "killed", preview=kill)
    assert not is_customized(tmp_path / "killed")
    fine_tune(references, small, tmp_path / "killed", preview=kill)
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")


def test_small_steps_take_one_thread_and_give_the_others_back(
    references: References, small: Preset, tmp_path: Path
) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)
    try:
        fine_tune(references, small, tmp_path / "m", preview=lambda model: seen.append(torch.get_num_threads()))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_previews_do_not_change_the_model(references: References, small: Preset, tmp_path: Path) -> None:
    fine_tune(references, small, tmp_path / "quiet")
    fine_tune(
        references,
        small,
        tmp_path / "watched",
        preview=lambda model: model.sample([0], prompts=[INSTANCE_PROMPT], seed=1),  # type: ignore[arg-type]
    )
    assert weights(tmp_path / "quiet") == weights(tmp_path / "watched")


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": "none"},
        {"train": {"learning_rate": 1e-3}},
        {"train": {"prior_weight": 0.0}},
        {"train": {"ema": 0.1}},
        {"train": {"focus": 3.0}},
        {"train": {"piece": 16}},
        {"train": {"feature_weight": 0.5}},
    ],
)
def test_every_setting_changes_the_model(
    references: References, small: Preset, tmp_path: Path, changes: dict[str, object]
) -> None:
    fine_tune(references, small, tmp_path / "a")
    fine_tune(references, change(small, **changes), tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "b")


def test_other_settings_are_refused_by_name_and_overwritten_on_request(
    references: References, small: Preset, tmp_path: Path
) -> None:
    fine_tune(references, small, tmp_path / "m")
    other = change(small, train={"steps": 2})
    with pytest.raises(DataError, match="--training-steps was 4, now 2"):
        fine_tune(references, other, tmp_path / "m")
    fine_tune(references, other, tmp_path / "m", overwrite=True)
    assert NormalModel.load(tmp_path / "m").preset.train.steps == 2


def test_a_pipeline_gives_way_whole(references: References, small: Preset, stable: Preset, tmp_path: Path) -> None:
    fine_tune(references, change(stable, train={"method": "full", "steps": 1}), tmp_path / "m")
    fine_tune(references, small, tmp_path / "m", overwrite=True)
    assert NormalModel.load(tmp_path / "m").preset.name == "tiny"
    assert not [*tmp_path.glob("m/*.index.json"), *tmp_path.glob("m/unet"), *tmp_path.glob("m/model_index.json")]


def test_class_images_do_not_depend_on_how_a_pool_is_drawn(small: Preset) -> None:
    fine = change(small, sample={"steps": 1000}, pool={"strength": 0.002})  # of the preset's own 30 steps it makes none
    model = NormalModel(open_parts(small.weights), fine, category="a", noun="part")
    assert class_images(model, seed=0).shape == (2, 3, 32, 32)


def test_class_images_are_made_once_for_a_noun(small: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    model = NormalModel(open_parts(small.weights), change(small, train={"class_images": 6}), category="a", noun="part")
    first = class_images(model, seed=0)
    assert first.shape == (6, 3, 32, 32)
    drawn: list[range] = []
    sample = NormalModel.sample

    def watched(self: NormalModel, indices: range, *, prompts: list[str], seed: int) -> torch.Tensor:
        drawn.append(indices)
        return sample(self, indices, prompts=prompts, seed=seed)

    monkeypatch.setattr(NormalModel, "sample", watched)
    other_category = NormalModel(open_parts(small.weights), model.preset, category="b", noun="part")
    assert torch.equal(class_images(other_category, seed=0), first)
    assert not drawn
    more = NormalModel(open_parts(small.weights), change(small, train={"class_images": 8}), category="a", noun="part")
    assert torch.equal(class_images(more, seed=0)[:4], first[:4])
    assert drawn == [range(4, 8)]


def test_lora_customizes_too(references: References, small: Preset, tmp_path: Path) -> None:
    fine_tune(references, change(small, train={"method": "lora", "rank": 2}), tmp_path / "m")
    assert (tmp_path / "m" / "lora.safetensors").stat().st_size < 40_000


def test_a_piece_off_the_grid_is_refused(references: References, small: Preset, tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="piece must be a multiple of 16, or 0, got 20"):
        fine_tune(references, change(small, train={"piece": 20}), tmp_path / "m")


def test_customizing_learns_the_references_and_nothing_else(
    references: References, small: Preset, tmp_path: Path
) -> None:
    """Half of what training brings must be of these photos alone: training on their negatives brings less than half."""
    settings = change(small, train={"steps": 50, "learning_rate": 3e-3, "prior_weight": 0.0})
    (tmp_path / "negatives").mkdir()
    for name, photo in zip(references.images.names, references.images, strict=True):
        ImageOps.invert(photo).save(tmp_path / "negatives" / name)
    negatives = replace(references, images=Images.from_folder(tmp_path / "negatives"))
    base = NormalModel(open_parts(small.weights), small, category="", noun="part")
    taught, mistaught = (fine_tune(r, settings, tmp_path / n) for n, r in (("a", references), ("b", negatives)))
    images = references.images.pixels(32).float() / 255

    def error(model: NormalModel) -> float:
        restored = model.restore(images, prompts=[INSTANCE_PROMPT] * 2, strength=0.75, seed=0)
        return float((restored - images).square().mean())

    assert error(base) - error(taught) > 2 * (error(base) - error(mistaught))
    assert error(taught) < error(base)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_photos_make_a_grey_model(references: References, small: Preset, tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    references.images[0].convert(mode).save(folder / "0.png")
    photos = replace(references, images=Images.from_folder(folder))
    assert fine_tune(photos, small, tmp_path / "m").grey == (mode == "L")


def test_a_model_killed_while_it_is_saved_goes_on(references: References, small: Preset, tmp_path: Path) -> None:
    digest = fine_tune(references, small, tmp_path / "m").digest
    (tmp_path / "m" / "preset.json").unlink()
    assert find_model(tmp_path / "m", small, {}, device="cpu", category="good", noun="part") is None
    assert fine_tune(references, small, tmp_path / "m").digest == digest


def test_a_lora_that_is_being_made_is_not_taken_for_one_of_others(
    references: References, stable: Preset, tmp_path: Path
) -> None:
    for name in ("customize.json", "pytorch_lora_weights.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert find_model(tmp_path, stable, {}, device="cpu", category="good", noun="part") is None


def test_what_killed_writes_left_is_removed(references: References, small: Preset, tmp_path: Path) -> None:
    fine_tune(references, small, tmp_path / "m")
    (tmp_path / "m" / ".checkpoint.pt.123.partial").write_bytes(b"half")
    fine_tune(references, small, tmp_path / "m")
    assert not [*tmp_path.rglob("*.partial")]


def test_a_method_that_the_weights_do_not_have_is_told_of_before_any_work(
    references: References, stable: Preset, tmp_path: Path
) -> None:
    with pytest.raises(PresetError, match="can be trained by method full or lora, got fine"):
        fine_tune(references, change(stable, train={"method": "fine"}), tmp_path / "m")
    assert not (tmp_path / "m").exists()
