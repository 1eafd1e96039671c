from pathlib import Path

import pytest
import torch
from marked import Pixels, Words, part, write
from safetensors.torch import save_file
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from normalgen.data.category import Category
from normalgen.data.readers.mvtec import marked_categories
from normalgen.detectors.one_to_normal.branches import Branches
from normalgen.detectors.one_to_normal.text_branch import (
    ANOMALOUS,
    NORMAL,
    TEMPLATES,
    TextMaps,
    sentences,
    text_vectors,
)
from normalgen.detectors.one_to_normal.text_training import text_loss, train_text
from normalgen.detectors.one_to_normal.triplet import PatchBank, unit
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.defects import paste
from normalgen.images.images import Images, to_pil
from normalgen.io.rng import generator


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(write(tmp_path_factory.mktemp("marked"), "metal_disc"), "plate", 2)


@pytest.fixture(scope="module")
def categories(root: Path) -> list[Category]:
    return marked_categories(root)


@pytest.fixture(scope="module")
def trained(categories: list[Category]) -> TextMaps:
    return train_text(Pixels(), categories, epochs=15, batch=4, rate=0.005)


def test_there_are_22_templates_154_normal_and_88_anomalous_sentences() -> None:
    normal, anomalous = (sentences(states, "metal nut") for states in (NORMAL, ANOMALOUS))
    assert (len(set(TEMPLATES)), len(set(normal)), len(set(anomalous))) == (22, 154, 88)
    assert not {*normal} & {*anomalous}
    assert "a photo of the flawless metal nut for visual inspection." in normal
    assert "a cropped photo of a metal nut with damage." in anomalous
    assert not any("{" in sentence for sentence in normal + anomalous)


def test_text_vectors_are_means_of_unit_vectors_scaled_again() -> None:
    found, side = text_vectors(Words(), "nut"), Words()
    for row, states in zip(found, (NORMAL, ANOMALOUS), strict=True):
        mean = side.encode(sentences(states, "nut")).mean(0)
        assert torch.allclose(row, mean / mean.norm(), atol=1e-5)


def test_scores_are_the_softmax_of_100_cosines() -> None:
    maps = TextMaps([11, 11], 12, features="pixels", size=64)
    tokens, vectors = Pixels().tokens(part(0)[None]), text_vectors(Words(), "disc")
    found = maps.scores(tokens, vectors)
    assert [tuple(level.shape) for level in found] == [(1, 16, 16), (1, 8, 8)]
    token = maps.get_submodule("levels.0")(tokens[0][0, 3, 5].clone())
    expected = (100 * torch.cosine_similarity(token[None], vectors)).softmax(0)[1]
    assert torch.allclose(found[0][0, 3, 5], expected, atol=1e-4)


def test_each_image_may_have_its_own_sentences() -> None:
    maps = TextMaps([11, 11], 12, features="pixels", size=64)
    vectors = torch.stack([text_vectors(Words(), noun) for noun in ("disc", "plate")])
    tokens = Pixels().tokens(torch.stack([part(0), part(0)]))
    own = [maps.scores([level[:1] for level in tokens], each)[0][0] for each in vectors]
    assert torch.allclose(maps.scores(tokens, vectors)[0], torch.stack(own), atol=1e-5)
    assert not torch.allclose(own[0], own[1])


def test_the_loss_is_focal_plus_dice_of_maps_enlarged_with_aligned_corners() -> None:
    logits, masks = torch.randn(2, 2, 3, 3, generator=generator(0)), torch.zeros(2, 5, 5)
    masks[0, :2] = 1
    corner = logits[0, :, 0, 0].softmax(0)[1]
    large = interpolate(logits, (5, 5), mode="bilinear", align_corners=True).softmax(1)[:, 1]
    assert torch.allclose(large[0, 0, 0], corner)
    right = torch.where(masks > 0, large, 1 - large)
    dice = 1 - (2 * (large * masks).sum((1, 2)) + 1) / (large.sum((1, 2)) + masks.sum((1, 2)) + 1)
    expected = ((1 - right) ** 2 * -right.log()).mean() + dice.mean()
    assert torch.allclose(text_loss([logits], masks), expected, atol=1e-3)
    assert torch.allclose(text_loss([logits, logits], masks), 2 * expected, atol=2e-3)


def test_marked_images_are_read_from_the_layout_of_mvtec(categories: list[Category]) -> None:
    assert [each.noun for each in categories] == ["metal disc", "plate"]
    assert [each.labels for each in categories] == [6 * [0] + 6 * [1], 2 * [0] + 2 * [1]]
    tests = categories[0].tests
    image, mask = tests[6].load(64)
    pasted = paste(part(100), "stain", generator("stain", 0))
    assert torch.allclose(image, pasted[0], atol=0.01)
    assert torch.equal(mask.bool(), pasted[1])
    assert not tests[0].load(32)[1].any()


def break_layout(root: Path, what: str) -> None:
    if what == "masks":
        for file in root.glob("*/ground_truth/*/*"):
            file.unlink()
        for file in root.glob("*/test/stain/*"):
            file.rename(file.parent.parent / "good" / f"{file.stem}x.png")
        for folder in root.glob("*/test/stain"):
            folder.rmdir()
    elif what == "one":
        next(root.glob("*/ground_truth/stain/1_mask.png")).unlink()


@pytest.mark.parametrize(
    ("what", "message"), [("masks", "no masks in"), ("one", "1.png has no mask; expected .*1_mask")]
)
def test_missing_masks_are_told_of(tmp_path: Path, what: str, message: str) -> None:
    break_layout(write(tmp_path, "disc", 2), what)
    with pytest.raises(DataError, match=message):
        marked_categories(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        marked_categories(tmp_path / "gone")


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "disc", 1)
    to_pil(part(0, 32)).save(tmp_path / "disc/ground_truth/stain/0_mask.png")
    with pytest.raises(DataError, match=r"has \(32, 32\) pixels and its image \(64, 64\)"):
        marked_categories(tmp_path)[0].tests[1].load(64)


def test_trained_maps_find_defects_on_images_they_never_saw(trained: TextMaps) -> None:
    pasted = [paste(part(seed), "stain", generator("new", seed)) for seed in range(200, 206)]
    images, masks = (torch.stack(list(each)) for each in zip(*pasted, strict=True))
    vectors, features = text_vectors(Words(), "metal disc"), Pixels()
    for level, before in zip(
        trained.scores(features.tokens(images), vectors),
        TextMaps([11, 11], 12, features="pixels", size=64).scores(features.tokens(images), vectors),
        strict=True,
    ):
        small = adaptive_avg_pool2d(masks.float(), level.shape[-1])
        gap, untrained = (each[small > 0.5].mean() - each[small == 0].mean() for each in (level, before))
        assert gap > 0.2 + untrained.clamp(min=0)


def test_the_same_seed_gives_the_same_maps_and_another_gives_others(categories: list[Category]) -> None:
    one, same, other = (train_text(Pixels(), categories, epochs=1, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_a_stopped_training_goes_on_to_the_same_maps(categories: list[Category], tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("text maps", 3):
            raise KeyboardInterrupt

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "text maps":
            told.append(done)

    file, told = tmp_path / "held", list[int]()
    with pytest.raises(KeyboardInterrupt):
        train_text(Pixels(), categories, epochs=2, watch=stop, checkpoint=file)
    resumed = train_text(Pixels(), categories, epochs=2, watch=tell, checkpoint=file).state_dict()
    through = train_text(Pixels(), categories, epochs=2).state_dict()
    assert told == [2, 3, 4]
    assert all(torch.equal(resumed[name], through[name]) for name in through)


def test_a_checkpoint_of_other_settings_is_not_taken_up(categories: list[Category], tmp_path: Path) -> None:
    train_text(Pixels(), categories, epochs=1, seed=1, checkpoint=tmp_path / "held")
    again = train_text(Pixels(), categories, epochs=1, seed=2, checkpoint=tmp_path / "held").state_dict()
    assert torch.equal(
        again["levels.0.weight"], train_text(Pixels(), categories, epochs=1, seed=2).state_dict()["levels.0.weight"]
    )


def test_features_without_a_text_side_and_odd_numbers_are_refused(categories: list[Category]) -> None:
    with pytest.raises(PresetError, match="have no text side; use clip"):
        train_text(CnnFeatures(), categories)
    with pytest.raises(PresetError, match="at least 1, got 0 and 8"):
        train_text(Pixels(), categories, epochs=0)
    with pytest.raises(DataError, match="no test images"):
        train_text(Pixels(), [])


def test_saved_maps_load_for_their_features_alone(trained: TextMaps, tmp_path: Path) -> None:
    trained.save(tmp_path / "text.safetensors")
    loaded = TextMaps.load(tmp_path / "text.safetensors", Pixels())
    tokens, vectors = Pixels().tokens(part(0)[None]), text_vectors(Words(), "disc")
    pairs = zip(loaded.scores(tokens, vectors), trained.scores(tokens, vectors), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    for features in (Pixels(32), CnnFeatures()):
        with pytest.raises(PresetError, match="trained for features pixels at 64 px, these are"):
            TextMaps.load(tmp_path / "text.safetensors", features)


def test_files_that_hold_no_maps_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors")
    (tmp_path / "text.txt").write_text("no tensors")
    for name in ("odd.safetensors", "text.txt", "gone"):
        with pytest.raises(MissingWeights, match="normalgen train-text"):
            TextMaps.load(tmp_path / name, Pixels())


def test_maps_know_what_they_were_trained_on(trained: TextMaps, categories: list[Category], tmp_path: Path) -> None:
    trained.save(tmp_path / "maps.safetensors")
    loaded = TextMaps.load(tmp_path / "maps.safetensors", Pixels())
    tests = Images([test.image for test in categories[0].tests])
    assert loaded.seen(tests) == tests.names
    (tmp_path / "others").mkdir()
    to_pil(part(999)).save(tmp_path / "others" / "new.png")
    assert loaded.seen(Images.from_folder(tmp_path / "others")) == []


def test_a_checkpoint_of_more_epochs_is_told_of(categories: list[Category], tmp_path: Path) -> None:
    checkpoint = tmp_path / "maps.checkpoint"
    train_text(Pixels(), categories, epochs=2, checkpoint=checkpoint)
    with pytest.raises(PresetError, match="2 epochs already"):
        train_text(Pixels(), categories, epochs=1, checkpoint=checkpoint)


class Counted(Pixels):
    """Counts the images that are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def tokens(self, images: torch.Tensor) -> list[torch.Tensor]:
        self.images += len(images)
        return super().tokens(images)


def test_the_network_looks_at_each_query_once_for_all_branches(trained: TextMaps) -> None:
    network, images = Counted(), torch.stack([part(seed) for seed in range(3)])
    vectors = text_vectors(Words(), "disc")
    branches = Branches(network, None, (trained, vectors), True, 2)
    bank = PatchBank(branches.tokens(images[:1]))
    network.images = 0
    _, maps = branches.compare(images, ["a", "b", "c"], bank)
    assert network.images == 3
    tokens = Pixels().tokens(images)
    for found, wanted in zip(maps["text"], trained.scores(tokens, vectors), strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)
    for found, wanted in zip(maps["n"], bank.maps(unit(tokens)), strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)
