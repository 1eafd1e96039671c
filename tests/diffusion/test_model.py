import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.parts import Parts
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.settings.presets import Preset, change
from normalgen.settings.prompts import INSTANCE_PROMPT

Move = Callable[[torch.Tensor, list[tuple[int, int]]], torch.Tensor]


def draw(model: NormalModel, *indices: int, seed: int = 0) -> torch.Tensor:
    return model.sample(indices, prompts=[INSTANCE_PROMPT] * len(indices), seed=seed)


def restore(model: NormalModel, images: torch.Tensor, strength: float = 0.5, seed: int = 0) -> torch.Tensor:
    return model.restore(images, prompts=[INSTANCE_PROMPT] * len(images), strength=strength, seed=seed)


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_same_seed_same_images(model: NormalModel) -> None:
    assert torch.equal(draw(model, 0, 1), draw(model, 0, 1))
    assert not torch.equal(draw(model, 0, 1), draw(model, 0, 1, seed=1))


@pytest.mark.parametrize("kind", ["small", "stable"])
def test_a_repair_changes_nothing_outside_the_mask(kind: str, request: pytest.FixtureRequest) -> None:
    preset = request.getfixturevalue(kind)
    model = NormalModel(open_parts(preset.weights), preset, category="c", noun="n")
    images = (
        torch.rand(2, 3, preset.size, preset.size, generator=torch.Generator().manual_seed(0)) * 255
    ).round() / 255
    masks = torch.zeros(2, preset.size, preset.size, dtype=torch.bool)
    masks[0, 8:24, 4:20] = True
    repaired = model.repair(images, masks, prompts=[INSTANCE_PROMPT] * 2, strength=0.5, seed=0)
    changed = (repaired != images).any(1)
    assert not (changed & ~masks).any()
    assert changed[masks].float().mean() > 0.9
    alone = model.repair(images[:1], masks[:1], prompts=[INSTANCE_PROMPT], strength=0.5, seed=0)
    assert torch.allclose(repaired[:1], alone, atol=1e-4)


def test_a_repair_fits_what_is_outside(model: NormalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside, the model sees the photo noised to each step, whatever it drew before."""
    images, masks = pictures(1), torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[:, 8:16, 8:16] = True
    seen: list[torch.Tensor] = []
    predict = model.predict

    def watched(latents: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(latents)
        return 0 * predict(latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "predict", watched)
    model.repair(images, masks, prompts=[INSTANCE_PROMPT], strength=0.5, seed=0)
    clean = model.parts.codec.encode(images)
    outside = ~model.parts.codec.masked(masks).expand_as(clean)
    apart = [float((latents - clean)[outside].square().mean()) for latents in seen]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.2


def test_an_image_depends_on_its_index_not_on_its_batch(model: NormalModel) -> None:
    together, alone = draw(model, 4, 7, 2), draw(model, 7)
    close = ((together[1] - alone[0]).abs() <= 1 / 255).float().mean()
    assert close > 0.999


def test_images_are_in_range_and_of_the_presets_size(model: NormalModel) -> None:
    images = draw(model, 0)
    assert images.shape == (1, 3, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std() > 0.01


def test_more_strength_moves_further_from_the_image(model: NormalModel) -> None:
    distances = [(restore(model, pictures(), s) - pictures()).abs().mean() for s in (0.25, 0.5, 1.0)]
    assert distances[0] < distances[1] < distances[2]


def test_restoring_leaves_its_input_alone(model: NormalModel) -> None:
    images = pictures()
    restore(model, images)
    assert torch.equal(images, pictures())


def test_indices_decide_the_noise_of_a_restored_image(model: NormalModel) -> None:
    same = pictures(1).repeat(2, 1, 1, 1)
    first, second = restore(model, same)
    assert not torch.equal(first, second)
    again = model.restore(same[:1], prompts=[INSTANCE_PROMPT], strength=0.5, seed=0, indices=[1])
    assert torch.allclose(again[0], second, atol=1 / 255)


def test_guidance_changes_images_and_one_switches_it_off(model: NormalModel) -> None:
    with torch.no_grad():
        model.parts.prompt_encoder.get_parameter("object").add_(3)
    guided = model.using(change(model.preset, sample={"guidance": 6.0}))
    assert not torch.allclose(draw(guided, 0), draw(model, 0), atol=1e-3)
    almost = model.using(change(model.preset, sample={"guidance": 1.0 + 1e-6}))
    assert torch.allclose(draw(almost, 0), draw(model, 0), atol=1e-3)


def watched(name: str, move: Move, seen: list[tuple[str, tuple[int, int]]]) -> Move:
    def watching(latents: torch.Tensor, offsets: list[tuple[int, int]]) -> torch.Tensor:
        seen.extend((name, offset) for offset in offsets)
        return move(latents, offsets)

    return watching


def test_the_grid_moves_at_every_step_and_back(model: NormalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, tuple[int, int]]] = []
    codec = model.parts.codec
    for name in ("shift", "unshift"):
        monkeypatch.setattr(codec, name, watched(name, getattr(codec, name), seen))
    draw(model, 0)
    assert [name for name, _ in seen] == ["shift", "unshift"] * model.preset.sample.steps
    assert [offset for _, offset in seen[::2]] == [offset for _, offset in seen[1::2]]
    assert len({offset for _, offset in seen}) > 1


def test_the_answer_is_the_denoisers_on_the_picture_mirrored_outwards(model: NormalModel) -> None:
    latents, t = model.parts.codec.encode(pictures(1)), torch.tensor([500])
    pixels = np.pad(pixel_shuffle(latents, 8).numpy(), [(0, 0), (0, 0), (3, 5), (6, 2)], mode="reflect")
    context = model.encode_prompts([INSTANCE_PROMPT])
    with torch.inference_mode():
        large = model.parts.denoiser(pixel_unshuffle(torch.from_numpy(pixels), 8), t, encoder_hidden_states=context)[0]
        found = model.predict(latents, t, context, [(3, 6)])
    assert torch.allclose(pixel_shuffle(found, 8), pixel_shuffle(large, 8)[..., 3:35, 6:38], atol=1e-6)


def test_both_halves_of_guidance_see_the_same_grid(model: NormalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, tuple[int, int]]] = []
    monkeypatch.setattr(model.parts.codec, "shift", watched("shift", model.parts.codec.shift, seen))
    draw(model.using(change(model.preset, sample={"guidance": 6.0, "steps": 2})), 0, 1)
    offsets = [offset for _, offset in seen]
    assert offsets[:2] == offsets[2:4] != offsets[4:6] == offsets[6:]


def test_kinds_change_the_object_and_rows_of_nan_leave_it(model: NormalModel) -> None:
    with torch.no_grad():
        model.parts.prompt_encoder.get_parameter("kind.1.weight").fill_(0.1)
        model.parts.prompt_encoder.get_parameter("kind.1.bias").fill_(1)
    plain = model.encode_prompts([INSTANCE_PROMPT] * 2)
    found = model.encode_prompts([INSTANCE_PROMPT] * 2, torch.stack([torch.full((352,), torch.nan), torch.ones(352)]))
    assert torch.equal(found[0], plain[0])
    assert torch.allclose((found[1] - plain[1]).abs().sum(), torch.tensor(float(plain.shape[-1])))


def test_a_saved_model_draws_the_same(model: NormalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = NormalModel.load(tmp_path)
    assert torch.equal(draw(loaded, 0, 1), draw(model, 0, 1))
    assert (loaded.category, loaded.noun, loaded.digest) == ("good", "part", model.digest)


def test_a_size_off_the_grid_is_refused(small: Preset) -> None:
    with pytest.raises(PresetError, match="multiple of 16, got 40"):
        NormalModel(open_parts(small.weights), replace(small, size=40), category="", noun="part")


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="normalgen customize"):
        NormalModel.load(tmp_path)


def test_damaged_weights_are_named(model: NormalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "tiny.safetensors").write_bytes(b"no weights")
    with pytest.raises(MissingWeights, match=r"tiny\.safetensors"):
        NormalModel.load(tmp_path)


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(MissingWeights, match="nowhere"):
        open_parts("nowhere")


def test_a_model_of_another_version_is_refused(model: NormalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    path = tmp_path / "preset.json"
    record = json.loads(path.read_text().replace('"mix"', '"blend"'))
    path.write_text(json.dumps({name: value for name, value in record.items() if name != "sha256"}))
    with pytest.raises(PresetError, match="blend"):
        NormalModel.load(tmp_path)


def test_a_model_file_that_lacks_a_part_is_named(model: NormalModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    path = tmp_path / "preset.json"
    path.write_text(path.read_text().replace('"noun"', '"word"'))
    with pytest.raises(DataError, match="noun: Field required"):
        NormalModel.load(tmp_path)


def test_a_grey_model_draws_no_colour_and_stays_grey_when_saved(model: NormalModel, tmp_path: Path) -> None:
    colour = draw(model, 0)
    model.grey = True
    model.save(tmp_path)
    grey = draw(NormalModel.load(tmp_path), 0)
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert not torch.equal(colour[:, 0], colour[:, 2])


def test_the_same_adapters_on_another_base_are_another_model(small: Preset, tmp_path: Path) -> None:
    def saved(parts: Parts, name: str) -> NormalModel:
        settings = change(small, train={"method": "lora", "rank": 2}, weights=str(tmp_path / f"base-{name}"))
        parts.save(tmp_path / f"base-{name}")
        adapted = open_parts(settings.weights).prepare_training(settings)
        return NormalModel(adapted, settings, category="good", noun="part").save(tmp_path / name)

    one, other = open_parts(small.weights), open_parts(small.weights)
    with torch.no_grad():
        other.denoiser.get_parameter("fine.leave.weight").add_(1)
    first, second = saved(one, "a"), saved(other, "b")
    adapters = [(tmp_path / name / "lora.safetensors").read_bytes() for name in "ab"]
    assert adapters[0] == adapters[1]
    assert first.digest != second.digest
    loaded = NormalModel.load(tmp_path / "a")
    assert loaded.digest == first.digest == loaded.save(tmp_path / "c").digest
