from pathlib import Path

import pytest
import torch
from conftest import drawn

import normalgen
from normalgen.detectors.one_to_normal.twins import Personalizer, similarity
from normalgen.diffusion.model import NormalModel
from normalgen.images.images import Images
from normalgen.settings.presets import change


@pytest.fixture
def three(model: NormalModel) -> NormalModel:
    return model.using(change(model.preset, twins={"prompts": 3, "strength": 0.5, "steps": 0}))


@pytest.fixture
def queries(photos: Path) -> Images:
    return Images.from_folder(photos)


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every batch that is restored from now on."""
    seen: list[int] = []
    restore = NormalModel.restore

    def watched(self: NormalModel, images: torch.Tensor, **options: object) -> torch.Tensor:
        seen.append(len(images))
        return restore(self, images, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(NormalModel, "restore", watched)
    return seen


def test_the_twin_is_the_candidate_most_like_its_query(three: NormalModel, queries: Images) -> None:
    found = Personalizer(three).personalize(queries)
    assert found.candidates.shape == (6, 3, 3, 32, 32)
    for query, candidates, twin in zip(found.queries, found.candidates, found.twins, strict=True):
        assert similarity(query, twin) == max(similarity(query, each) for each in candidates)


def test_all_prompts_of_a_batch_go_through_one_call(
    three: NormalModel, queries: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = sizes(monkeypatch)
    list(Personalizer(three).batches(queries, 4))
    assert seen == [12, 6]


def test_a_twin_does_not_depend_on_its_batch(three: NormalModel, queries: Images) -> None:
    one, all_at_once = (list(Personalizer(three).batches(queries, size)) for size in (1, 6))
    alone = torch.cat([each.twins for each in one])
    assert (alone - all_at_once[0].twins).abs().max() <= 1 / 255 + 1e-6
    turned = Personalizer(three).personalize(queries.take([3, 0]))
    assert (turned.twins - all_at_once[0].twins[[3, 0]]).abs().max() <= 1 / 255 + 1e-6


def test_the_seed_and_the_image_decide_the_noise(three: NormalModel, queries: Images) -> None:
    first, other = (Personalizer(three, seed=seed).personalize(queries).twins for seed in (0, 1))
    assert not torch.allclose(first, other, atol=1 / 255)


def test_kept_twins_are_taken_up_and_are_the_same(
    three: NormalModel, queries: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Personalizer(three, cache=tmp_path / "c").personalize(queries)
    plain = Personalizer(three).personalize(queries)
    monkeypatch.setattr(NormalModel, "restore", lambda *args, **options: pytest.fail("made again"))
    kept = Personalizer(three, cache=tmp_path / "c").personalize(queries)
    assert torch.equal(kept.candidates, made.candidates)
    assert torch.equal(plain.candidates, made.candidates)


def test_a_batch_that_a_killed_run_kept_in_part_is_made_whole_again(
    three: NormalModel, queries: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Personalizer(three, cache=tmp_path).personalize(queries)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for path in [*files][:4]:
        path.unlink()
    seen = sizes(monkeypatch)
    again = Personalizer(three, cache=tmp_path).personalize(queries)
    assert torch.equal(again.candidates, made.candidates)
    assert {path: path.read_bytes() for path in files} == files
    assert seen == [18]  # in a smaller batch, the last digits may differ


@pytest.mark.parametrize("twins", [{"strength": 0.75}, {"prompts": 1}, {}])
def test_twins_of_other_settings_are_kept_apart(three: NormalModel, tmp_path: Path, twins: dict[str, float]) -> None:
    model = three.using(change(three.preset, twins=twins))
    folders = [Personalizer(three, cache=tmp_path).folder]
    folders.append(Personalizer(model, seed=0 if twins else 1, cache=tmp_path).folder)
    assert folders[0] != folders[1]


def test_similarity_is_1_for_the_same_and_falls_with_change() -> None:
    from normalgen.images.images import to_tensor

    image = to_tensor(drawn(0), 64)
    assert similarity(image, image) == pytest.approx(1)
    noisy = (image + 0.2 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert similarity(image, noisy) < similarity(image, (image * 0.95)) < 1


def test_twins_of_another_machine_precision_or_version_are_kept_apart(
    three: NormalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(precision: str = "float32", device: str = "cpu") -> Path | None:
        model = three.using(change(three.preset, sample={"precision": precision}))
        monkeypatch.setattr(model, "using", lambda preset: model)
        model.device = device
        return Personalizer(model, cache=tmp_path).folder

    here = folder()
    assert folder("auto") == here
    assert folder("bfloat16") != here
    assert folder(device="cuda") == folder(device="cuda:1") != here
    assert folder("auto", "cuda") == folder("bfloat16", "cuda") != folder(device="cuda")
    monkeypatch.setattr(normalgen, "__version__", "another")
    assert folder() != here


def test_kept_twins_stay_within_their_limit(three: NormalModel, queries: Images, tmp_path: Path) -> None:
    whole = Personalizer(three, cache=tmp_path / "whole").personalize(queries)
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*.png"))
    for seed in range(4):
        kept = Personalizer(three, seed=seed, cache=tmp_path / "c", limit=size)
        assert len(kept.personalize(queries).twins) == len(whole.twins)
    found = [path.stat().st_size for path in (tmp_path / "c").rglob("*.png")]
    assert size / 2 < sum(found) <= 1.1 * size


def test_a_damaged_twin_is_made_again(three: NormalModel, queries: Images, tmp_path: Path) -> None:
    made = Personalizer(three, cache=tmp_path / "c").personalize(queries)
    for path in (tmp_path / "c").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60] + b"x" * 40)
    assert torch.equal(Personalizer(three, cache=tmp_path / "c").personalize(queries).candidates, made.candidates)
