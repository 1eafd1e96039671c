import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import random_clip
from torch import Tensor, nn
from torch.nn.functional import interpolate

from normalgen.data.category import Category, TestImage
from normalgen.detectors.one_to_normal.text_branch import text_vectors
from normalgen.detectors.one_to_normal.text_training import train_text
from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.open_clip import MEAN, STD, ClipFeatures, ClipText
from normalgen.features.open_features import open_features
from normalgen.features.weights import quarters
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images, to_pil


def noise(count: int = 2, size: int = 240) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def file(tiny_clip: str) -> str:
    return tiny_clip


@pytest.fixture(scope="module")
def clip(file: str) -> ClipFeatures:
    return ClipFeatures("tiny-clip", weights=file)


def by_hand(clip: ClipFeatures, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Every block's output, and the image's vector."""
    visual, levels = clip.model.visual, []
    inside = visual._embeds((images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
    for block in visual.transformer.resblocks:
        inside = block(inside)
        levels.append(inside)
    return levels, visual.ln_post(inside)[:, 0] @ visual.proj


@pytest.mark.parametrize(("size", "side"), [(240, 17), (84, 6), (224, 16), (14, 1)])
def test_a_patch_that_does_not_fit_whole_is_dropped(file: str, size: int, side: int) -> None:
    tokens = ClipFeatures("tiny-clip", weights=file, size=size).tokens(noise(1))
    assert [tuple(level.shape) for level in tokens] == [(1, side, side, 32)] * 4


def test_the_last_two_of_240_pixels_are_not_seen(clip: ClipFeatures) -> None:
    changed = noise()
    changed[..., 238:, :] = 0
    changed[..., 238:] = 1
    assert all(torch.equal(*pair) for pair in zip(clip.tokens(noise()), clip.tokens(changed), strict=True))


@torch.inference_mode()
def test_blocks_count_from_one_and_are_raw(file: str, clip: ClipFeatures) -> None:
    levels, _ = by_hand(clip, noise())
    for block in (1, 3, 4):
        (found,) = ClipFeatures("tiny-clip", weights=file, blocks=(block,)).tokens(noise())
        assert torch.allclose(found.flatten(1, 2), levels[block - 1][:, 1:], atol=1e-5)


def test_unless_told_the_quarters_of_the_depth_are_used(clip: ClipFeatures) -> None:
    assert (clip.blocks, quarters(24), quarters(12)) == ((1, 2, 3, 4), (6, 12, 18, 24), (3, 6, 9, 12))


@torch.inference_mode()
def test_an_images_vector_is_the_projected_class_token_of_unit_length(clip: ClipFeatures) -> None:
    vectors = clip.image(noise())
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.allclose(torch.cosine_similarity(vectors, by_hand(clip, noise())[1]), torch.ones(2), atol=1e-5)


def test_images_of_any_size_are_squashed(clip: ClipFeatures) -> None:
    given = noise(1, 300)
    small = interpolate(given, (240, 240), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(clip.image(given), clip.image(small))


@pytest.mark.parametrize("size", [84, 240])
def test_positions_are_resized_as_open_clip_does(file: str, size: int) -> None:
    with torch.random.fork_rng(devices=[]):
        theirs = open_clip.create_model("tiny-clip", pretrained=file, force_image_size=size)
    ours = ClipFeatures("tiny-clip", weights=file, size=size).model
    assert torch.equal(ours.visual.positional_embedding, theirs.visual.positional_embedding)


def test_weights_in_half_precision_are_resized_too(file: str, tmp_path: Path) -> None:
    state = {name: value.half() for name, value in random_clip("tiny-clip").state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    half = ClipFeatures("tiny-clip", weights=str(tmp_path / "half.pt"))
    assert half.tokens(noise())[0].dtype == torch.float32
    assert half.model.visual.positional_embedding.shape == (17 * 17 + 1, 32)


def test_the_name_says_which_weights_whatever_the_size_and_the_file(file: str, clip: ClipFeatures) -> None:
    other = ClipFeatures("tiny-clip-quickgelu", weights=file, size=84)
    assert re.fullmatch(r"clip:tiny-clip@[0-9a-f]{8}", clip.name)
    assert other.name.partition("@")[2] == clip.name.partition("@")[2]
    assert ClipFeatures("tiny-clip", weights=file, blocks=(1, 3)).name == f"{clip.name}/(1,3)"


@pytest.mark.parametrize(("name", "kind"), [("tiny-clip", "GELU"), ("tiny-clip-quickgelu", "QuickGELU")])
def test_the_activation_is_the_one_of_the_name(file: str, name: str, kind: str) -> None:
    model = ClipFeatures(name, weights=file).model
    blocks = [*model.visual.transformer.resblocks, *model.transformer.resblocks]
    assert {type(block.mlp.gelu).__name__ for block in blocks} == {kind}


def test_no_hooks_stay_and_nothing_asks_for_gradients(clip: ClipFeatures) -> None:
    clip.tokens(noise())
    hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks) for m in clip.model.modules()]
    assert not any(any(each) for each in hooks)
    assert not clip.model.training
    assert not any(weight.requires_grad for weight in clip.model.parameters())


def test_sentences_are_of_unit_length_and_do_not_depend_on_their_batch(clip: ClipFeatures) -> None:
    text = clip.text
    assert text is not None
    sentences = [f"a photo of {number} nuts" for number in range(70)]
    vectors = text.encode(sentences)
    assert vectors.shape == (70, text.width) == (70, 24)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(70), atol=1e-5)
    assert torch.allclose(vectors[68], text.encode(sentences[68:69])[0], atol=1e-5)


def test_a_sentence_is_not_cut_off(clip: ClipFeatures) -> None:
    assert isinstance(clip.text, ClipText)
    clip.text.encode(["nut " * 75])
    with pytest.raises(PresetError, match="77 tokens"):
        clip.text.encode(["nut " * 76])


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("ViT-L-14-336", "openai", "with QuickGELU, which ViT-L-14-336 does not use; use ViT-L-14-336-quickgelu"),
        (
            "ViT-B-16-plus-240",
            "laion400m_e32",
            "epoch 31; use 'laion400m_e31', or download .*e32.*pt and give the file",
        ),
        ("ViT-B-16-plus-240", "openai", "weights must be a file or one of laion400m_e31, laion400m_e32"),
        ("ViT-B-61", "openai", "no model 'ViT-B-61'; similar names: ViT-B-16"),
        ("RN50-quickgelu", "openai", "not an open_clip vision transformer"),
    ],
)
def test_combinations_that_would_mislead_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        ClipFeatures(name, weights=weights)


def test_blocks_and_sizes_that_there_are_not_are_refused(file: str) -> None:
    with pytest.raises(PresetError, match=r"blocks must be from 1 to 4 in tiny-clip, got \(0, 1\)"):
        ClipFeatures("tiny-clip", weights=file, blocks=(0, 1))
    with pytest.raises(PresetError, match="patch of 14 pixels, got 13"):
        ClipFeatures("tiny-clip", weights=file, size=13)


def test_weights_out_of_reach_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(entry: dict[str, Any]) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    with pytest.raises(MissingWeights, match=r"hf download timm/vit_large_patch14_clip_336\.openai; else give a file"):
        open_features("clip")


def test_a_file_that_is_not_there_or_not_of_the_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"no weight file gone\.safetensors"):
        ClipFeatures("tiny-clip", weights="gone.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(MissingWeights, match="does not hold only weights of tiny-clip"):
        ClipFeatures("tiny-clip", weights=str(tmp_path / "odd.safetensors"))


def test_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1, device="meta"), tmp_path / "code.pt")
    with pytest.raises(MissingWeights, match="weights_only=True"):
        ClipFeatures("tiny-clip", weights=str(tmp_path / "code.pt"))


def test_features_open_by_name_and_others_are_refused(file: str) -> None:
    features = open_features(f"clip:tiny-clip:{file}", size=84)
    assert (features.size, features.name.partition("@")[0]) == (84, "clip:tiny-clip")
    for name in ("", "clip:", "timm", "timm:", "resnet18", "embedded:x", "vit:x", "dinov2:"):
        with pytest.raises(PresetError, match="features must be one of embedded, vit, cnn"):
            open_features(name)


def test_text_maps_learn_from_clips_tokens(clip: ClipFeatures) -> None:
    photo = BytesIO()
    to_pil(noise(1)[0]).save(photo, "png")
    item = ImageItem("a.png", "a.png", photo.getvalue)
    tests = (TestImage(item, "good"), TestImage(item, "scratch", item))
    maps = train_text(clip, [Category("folder", "nut", "nut", Images([]), tests)], epochs=1)
    scores = maps.scores(clip.tokens(noise()), text_vectors(clip.text, "nut") if clip.text else noise())
    assert [tuple(level.shape) for level in scores] == [(2, 17, 17)] * 4


def test_without_open_clip_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingDependency, match="pip install open_clip_torch"):
        open_features("clip")
