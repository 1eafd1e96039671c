import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.errors import PresetError
from normalgen.features import clip_windows
from normalgen.features.clip_windows import ClipWindows
from normalgen.features.open_clip import ClipFeatures


@pytest.fixture(scope="module")
def clip(tiny_clip: str) -> ClipFeatures:
    return ClipFeatures("tiny-clip", weights=tiny_clip, size=210)


def noise(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 210, 210, generator=torch.Generator().manual_seed(0))


def test_15_x_15_patches_have_196_and_169_windows(clip: ClipFeatures) -> None:
    shapes = [tuple(level.shape) for level in ClipWindows(clip).tokens(noise())]
    assert shapes == [(2, 1, 1, 24), (2, 14, 14, 24), (2, 13, 13, 24), (2, 15, 15, 32)]
    assert (14 * 14, 13 * 13) == (196, 169)


def test_the_window_of_all_patches_is_the_whole_image(clip: ClipFeatures) -> None:
    whole, window, _ = ClipWindows(clip, (15,)).tokens(noise())
    assert torch.allclose(window, whole, atol=1e-5)
    assert torch.allclose(whole[:, 0, 0], clip.image(noise()), atol=1e-5)


def test_patches_are_the_last_blocks_raw_outputs(tiny_clip: str, clip: ClipFeatures) -> None:
    (last,) = ClipFeatures("tiny-clip", weights=tiny_clip, size=210, blocks=(4,)).tokens(noise())
    assert torch.allclose(ClipWindows(clip).tokens(noise())[-1], last, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(("level", "side"), [(1, 2), (2, 3)])
def test_a_window_goes_through_the_network_alone_with_its_positions(clip: ClipFeatures, level: int, side: int) -> None:
    visual, row, column = clip.model.visual, 4, 9
    patches = visual.conv1(clip.prepared(noise())).permute(0, 2, 3, 1)
    positions = visual.positional_embedding[1:].view(15, 15, -1)
    inside = (patches + positions)[:, row : row + side, column : column + side].flatten(1, 2)
    start = (visual.class_embedding + visual.positional_embedding[0]).expand(2, 1, -1)
    hidden = visual.ln_pre(torch.cat([start, inside], 1))
    for block in visual.transformer.resblocks:
        hidden = block(hidden)
    expected = normalize(visual.ln_post(hidden[:, 0]) @ visual.proj, dim=1)
    assert torch.allclose(ClipWindows(clip).tokens(noise())[level][:, row, column], expected, atol=1e-5)


def test_a_window_sees_no_pixel_outside(clip: ClipFeatures) -> None:
    changed = noise()
    changed[..., 28:, :] = 0.5
    before, after = (ClipWindows(clip).tokens(images)[1] for images in (noise(), changed))
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-5)
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-2)


def test_batches_of_images_and_of_windows_change_nothing(clip: ClipFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    together = ClipWindows(clip).tokens(noise(3))
    monkeypatch.setattr(clip_windows, "TOGETHER", 50)
    alone = zip(*(ClipWindows(clip).tokens(image) for image in torch.split(noise(3), 1)), strict=True)
    assert all(torch.allclose(a, torch.cat(b), atol=1e-5) for a, b in zip(together, alone, strict=True))


def test_windows_that_do_not_fit_are_refused(tiny_clip: str) -> None:
    with pytest.raises(PresetError, match=r"3 x 3 patches do not fit into clip:tiny-clip@.* at 28 px, which has 2 x 2"):
        ClipWindows(ClipFeatures("tiny-clip", weights=tiny_clip, size=28))
