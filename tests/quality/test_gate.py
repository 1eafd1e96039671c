import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.open_features import open_features
from normalgen.images.augment import augment_each
from normalgen.images.defects import KINDS, paste, paste_fragment
from normalgen.images.images import to_tensor
from normalgen.images.turning import Turnable, turnable
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.quality.gate import REASONS, Gate
from normalgen.settings.presets import Augment

SIZE = 128


def bracket(seed: int) -> Tensor:
    path = Path(__file__).parents[2] / "examples/draw_parts.py"
    spec = importlib.util.spec_from_file_location("draw_parts", path)
    assert spec is not None
    assert spec.loader is not None
    parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parts)
    draw = np.random.default_rng([7, seed])
    return to_tensor(parts.lit(parts.bracket(draw), draw), SIZE)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return torch.stack([bracket(seed) for seed in range(2)])


def ready(photos: Tensor) -> list[Turnable]:
    return [turnable(photo) for photo in (photos * 255).round().to(torch.uint8)]


def new_gate(photos: Tensor, kind: Augment = "safe", watch: Watch = silent) -> Gate:
    return Gate(ready(photos), kind, CnnFeatures(size=SIZE), seed=0, watch=watch)


@pytest.fixture(scope="module")
def calibrated(photos: Tensor) -> Gate:
    return new_gate(photos)


@pytest.fixture
def gate(calibrated: Gate) -> Gate:
    calibrated.kept.clear()
    return calibrated


@pytest.fixture(scope="module")
def fresh(photos: Tensor) -> Tensor:
    """Augmented references that the gate was not calibrated on."""
    draws = [generator("fresh", i) for i in range(20)]
    return augment_each(ready(photos) * 10, "safe", draws)


def test_most_augmented_references_are_kept(gate: Gate, fresh: Tensor) -> None:
    verdicts = []
    for image in fresh:
        gate.kept.clear()
        verdicts.append(gate.judge(image))
    assert sum(verdict.kept for verdict in verdicts) >= 17


def test_other_good_parts_are_no_strays(gate: Gate) -> None:
    assert [gate.judge(bracket(seed)).reason for seed in range(2, 8)].count("stray") == 0


@pytest.mark.slow
def test_the_default_features_keep_good_parts_and_catch_drawn_defects(
    photos: Tensor, fresh: Tensor, real_features: None
) -> None:
    gate = Gate(ready(photos), "safe", open_features("embedded"), seed=0)
    spoilt = [paste(image, kind, generator("slow", kind))[0] for image, kind in zip(fresh, KINDS, strict=False)]
    assert sum(gate.judge(image).kept for image in fresh) >= 17
    assert sum(gate.judge(image).reason in ("defect", "stray") for image in spoilt) >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_defects_are_caught(gate: Gate, fresh: Tensor, kind: str) -> None:
    images = [paste(image, kind, generator("defect", i))[0] for i, image in enumerate(fresh[:10])]
    assert sum(gate.judge(image).reason in ("defect", "stray") for image in images) >= 8


def test_mirrored_fragments_are_caught(gate: Gate, fresh: Tensor) -> None:
    images = [paste_fragment(image, generator("fragment", i))[0] for i, image in enumerate(fresh)]
    verdicts = [gate.judge(image) for image in images]
    assert all(not verdict.kept for verdict in verdicts)
    assert sum(verdict.reason == "fragment" for verdict in verdicts) >= 18


def test_a_part_that_the_border_cuts_is_a_fragment(gate: Gate, fresh: Tensor) -> None:
    part = fresh[0][:, 30:, 40:]  # the bracket's lower and right arms
    cut = torch.nn.functional.interpolate(part[None], (SIZE, SIZE), mode="bicubic")[0]
    assert gate.judge(cut).reason == "fragment"


def test_a_surface_that_reaches_the_border_is_no_fragment() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 40, SIZE), torch.linspace(0, 40, SIZE), indexing="ij")
    stripes = torch.stack([0.5 + 0.3 * torch.sin(x + shift) * torch.cos(y) for shift in (0.0, 1.0)])
    surfaces = stripes[:, None].expand(-1, 3, -1, -1)
    gate = new_gate(surfaces)
    draws = [generator("surface", i) for i in range(10)]
    verdicts = [gate.judge(image) for image in augment_each(ready(surfaces) * 5, "safe", draws)]
    assert all(verdict.numbers["fragment"] == 0 for verdict in verdicts)


def test_a_reference_itself_is_a_copy(gate: Gate, photos: Tensor) -> None:
    assert gate.judge(photos[1]).reason == "copy"


def test_the_same_image_twice_is_a_duplicate(gate: Gate, fresh: Tensor) -> None:
    kept = next(image for image in fresh if gate.judge(image).kept)
    again = gate.judge(kept)
    assert (again.reason, again.nearest_pool) == ("duplicate", 0)


def test_calibrating_reports_each_reference(photos: Tensor) -> None:
    seen: list[tuple[str, int, int]] = []
    new_gate(photos, watch=lambda *step: seen.append(step))
    assert seen == [("gate", 0, 2), ("gate", 1, 2), ("gate", 2, 2)]


def test_what_an_earlier_run_kept_is_remembered(gate: Gate, fresh: Tensor) -> None:
    gate.remember((fresh[0] * 255).round() / 255)
    assert gate.judge(fresh[0]).reason == "duplicate"


@pytest.mark.parametrize("image", [torch.full((3, SIZE, SIZE), 0.5), torch.zeros(3, SIZE, SIZE)], ids=["grey", "black"])
def test_a_flat_image_is_broken(gate: Gate, image: Tensor) -> None:
    assert gate.judge(image).reason == "broken"


def test_the_seams_of_a_grid_are_broken(gate: Gate, fresh: Tensor) -> None:
    tiles = torch.rand((3, SIZE // 8, SIZE // 8), generator=torch.Generator().manual_seed(0)).repeat_interleave(8, 1)
    seamed = fresh[0] + 0.2 * (tiles.repeat_interleave(8, 2) - 0.5)
    assert gate.judge(seamed).reason == "broken"


def test_another_part_is_a_stray(gate: Gate) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 30, SIZE), torch.linspace(0, 30, SIZE), indexing="ij")
    other = (0.5 + 0.3 * torch.sin(x * y / 10)).expand(3, -1, -1)
    assert gate.judge(other).reason == "stray"


def test_a_verdict_names_the_reference_it_is_most_like(gate: Gate, fresh: Tensor) -> None:
    verdicts = [gate.judge(image) for image in fresh[:6]]
    assert [verdict.nearest_reference for verdict in verdicts] == [0, 1] * 3
    assert all(verdict.reason in ("", *REASONS) for verdict in verdicts)


def test_verdicts_repeat_to_the_digit(gate: Gate, fresh: Tensor, photos: Tensor) -> None:
    again = new_gate(photos)
    assert again.settings() == gate.settings()
    assert [again.judge(image) for image in fresh[:4]] == [gate.judge(image) for image in fresh[:4]]


def test_one_reference_makes_the_stray_limit_a_guess_and_says_so(photos: Tensor) -> None:
    gate = new_gate(photos[:1], "none")
    assert "one reference" in gate.settings()["unknown"][0]
    assert gate.judge(torch.rand(photos[0].shape, generator=torch.Generator().manual_seed(0))).reason == "stray"


def test_many_references_make_a_gate_of_bounded_size(photos: Tensor) -> None:
    many = photos[..., ::2, ::2].repeat(15, 1, 1, 1)
    gate = new_gate(many)
    assert len(gate.bank) == 16 * 8 * 8
    assert gate.judge(many[-1]).reason == "copy"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("share", ["one", "all"])
def test_an_image_that_is_not_finite_is_broken_with_finite_numbers(
    gate: Gate, fresh: Tensor, value: float, share: str
) -> None:
    image = fresh[0].clone() if share == "one" else torch.full_like(fresh[0], value)
    image[0, 3, 3] = value
    verdict = gate.judge(image)
    assert verdict.reason == "broken"
    assert all(math.isfinite(number) for number in verdict.numbers.values())


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the size of the largest tensor that any step makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and not func.is_view:
            self.numbers = max(self.numbers, made.numel())
        return made


def test_many_kept_images_are_compared_in_parts_to_the_same_bits(gate: Gate, fresh: Tensor) -> None:
    image = next(image for image in fresh if gate.judge(image).kept)
    (near,) = gate.kept.rows.clone()
    draw = torch.Generator().manual_seed(0)
    gate.kept.clear()
    others = [(near + 0.1 * torch.randn(near.shape, generator=draw)).half() for _ in range(1001)]
    for other in others:
        gate.kept.append(other)
    apart = (near.float() - torch.stack(others).float()).square().sum(1).div(64).sqrt()
    with Largest() as largest:  # type: ignore[no-untyped-call]
        verdict = gate.judge(image)
    assert (verdict.numbers["duplicate"], verdict.nearest_pool) == (round(float(apart.min()), 4), int(apart.argmin()))
    assert largest.numbers <= 256 * len(near)
