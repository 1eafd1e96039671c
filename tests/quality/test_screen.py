"""The screening of drawn streams: grids of patches, good ones alike up to noise, defects in four of them."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.quality.screen import Screening, screened
from normalgen.quality.stream import compared

SIDE, WIDTH = 8, 24
MIDDLE, CORNER = [27, 28, 35, 36], [9, 10, 17, 18]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed))


PART = noise(0, SIDE**2)


def good(seed: int) -> Tensor:
    return normalize(PART + 0.25 * noise(seed, SIDE**2), dim=-1)


def spoilt(seed: int, kind: int, where: Sequence[int] = MIDDLE, spread: float = 0.4) -> Tensor:
    """A good part with a defect; defects of one kind are less alike than good parts."""
    part, at = good(seed), list(where)
    part[at] = normalize(noise(kind, len(at)) + spread * noise(seed + 5000, len(at)), dim=-1)
    return part


REFERENCES = [good(10), good(11)]


def screen(
    photos: Sequence[Tensor], references: Sequence[Tensor] = REFERENCES, contamination: float | None = None
) -> Screening:
    stacked, known = torch.stack(list(photos)), torch.stack(list(references))

    def patches(indices: Sequence[int]) -> Tensor:
        return stacked[list(indices)]

    return screened(*compared(known, len(stacked), patches, 0, lambda done: None), patches, contamination)


GOOD = [good(seed) for seed in range(100, 136)]
DEFECTS = [spoilt(500 + number, 900 + number, (MIDDLE, CORNER)[number % 2]) for number in range(4)]


def test_defects_are_suspicious_and_good_photos_are_kept() -> None:
    found = screen([*GOOD, *DEFECTS])
    assert {*found.verdicts[36:]} <= {"suspicious", "odd"}
    assert len(found.of("kept")) >= 33
    assert (found.groups, found.strange, found.few) == ((), False, False)
    assert found.share == pytest.approx(1 - len(found.of("kept")) / 40)
    assert float(found.scores[36:].min()) > 1.5 > float(found.scores[:36].max())


def test_maps_and_masks_show_where_the_defect_is() -> None:
    found = screen([*GOOD, *DEFECTS])
    for number, photo in enumerate(range(36, 40)):
        at = (MIDDLE, CORNER)[number % 2]
        assert sorted(found.maps[photo].topk(4).indices.tolist()) == at
        assert bool(found.masks[photo][at].all())
        assert float(found.masks[photo].float().mean()) < 0.4
    assert float(found.masks[:36].float().mean()) < 0.05


def test_a_photo_that_is_unusual_as_a_whole_is_odd() -> None:
    turned = good(300).view(SIDE, SIDE, -1).flip(0)[:, :, torch.randperm(WIDTH, generator=torch.Generator())]
    assert screen([*GOOD, turned.flatten(0, 1)]).verdicts[36] == "odd"


@pytest.mark.parametrize("count", [20, 30, 40])
def test_a_defect_that_many_photos_share_is_asked_about_and_none_is_taken(count: int) -> None:
    shared = round(0.3 * count)
    photos = [*GOOD[: count - shared], *(spoilt(500 + number, 900) for number in range(shared))]
    found = screen(photos)
    assert len(found.groups) == 1
    assert {*found.groups[0]} == {*range(count - shared, count)}
    assert found.of("asked") == list(range(count - shared, count))
    assert len(found.of("kept")) >= 0.9 * (count - shared)


def test_a_defect_that_is_the_same_in_many_photos_is_asked_about() -> None:
    """Each has near neighbours among the others, so nothing in it is far from trusted photos."""
    photos = [*GOOD[:28], *(spoilt(500 + number, 900, spread=0.0) for number in range(12))]
    found = screen(photos)
    assert {*range(28, 40)} <= {*found.of("asked")}
    assert len(found.of("kept")) >= 25


def test_what_most_photos_show_is_not_asked_about() -> None:
    photos = [*GOOD[:12], *(spoilt(500 + number, 900, spread=0.0) for number in range(28))]
    assert screen(photos).of("asked") == []


def test_photos_that_differ_everywhere_are_not_asked_about() -> None:
    """Another pose or light that many photos share is nothing local."""
    other = noise(77, SIDE**2)
    posed = [normalize(PART + 0.8 * other + 0.02 * noise(seed, SIDE**2), dim=-1) for seed in range(800, 812)]
    assert screen([*GOOD[:28], *posed]).groups == ()


def test_a_missing_feature_is_found_by_its_position_alone() -> None:
    """Its patches are like those around it, which every good part has."""
    hole = [SIDE * row + column for row in range(2, 6) for column in range(2, 6)]
    metal = noise(5, 1).expand(SIDE**2, WIDTH).clone()
    metal[hole] = noise(6, len(hole))

    def part(seed: int) -> Tensor:
        return normalize(metal + 0.25 * noise(seed, SIDE**2), dim=-1)

    def closed(seed: int) -> Tensor:
        found = part(seed)
        found[hole] = part(seed + 1)[: len(hole)]
        return found

    photos = [*(part(seed) for seed in range(200, 236)), *(closed(seed) for seed in range(240, 248, 2))]
    found = screen(photos, [part(10), part(11)])
    assert {*found.verdicts[36:]} <= {"suspicious", "odd"}
    assert len(found.of("kept")) >= 28
    assert all(sorted(found.maps[photo].topk(4).indices.tolist()) == MIDDLE for photo in range(36, 40))


def test_a_variant_that_was_asked_about_is_kept_once_a_reference_shows_it() -> None:
    variants = [spoilt(500 + number, 900, spread=0.25) for number in range(10)]
    photos = [*GOOD[:21], *variants[1:]]
    before, after = screen(photos), screen(photos, [*REFERENCES, variants[0]])
    assert before.of("asked") == list(range(21, 30))
    assert after.groups == ()
    assert len([index for index in after.of("kept") if index >= 21]) >= 6


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.25, 0.5])
def test_the_share_that_is_left_out_can_be_set(contamination: float) -> None:
    found = screen([*GOOD, *DEFECTS], contamination=contamination)
    assert len(found.of("kept")) == 40 - 40 * contamination
    if contamination == 0.1:
        assert not {*found.of("kept")} & {*range(36, 40)}


def test_one_reference_is_enough() -> None:
    found = screen([*GOOD, *DEFECTS], REFERENCES[:1])
    assert {*found.verdicts[36:]} <= {"suspicious", "odd"}
    assert len(found.of("kept")) >= 30
    assert 0.8 < found.apart < 1.2
    assert not found.strange


@pytest.mark.parametrize("count", [1, 2])
def test_photos_of_another_part_are_strange(count: int) -> None:
    other = noise(1, SIDE**2)
    photos = [normalize(other + 0.25 * noise(seed, SIDE**2), dim=-1) for seed in range(700, 710)]
    found = screen(photos, REFERENCES[:count])
    assert found.apart > 3
    assert found.strange


def test_photos_that_vary_more_than_like_references_are_not_strange() -> None:
    twice = [good(10), normalize(good(10) + 0.02 * noise(3, SIDE**2), dim=-1)]
    found = screen(GOOD, twice)
    assert found.apart < 1.3
    assert not found.strange


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_few_photos_are_screened_too(count: int) -> None:
    found = screen(GOOD[:count])
    assert found.few == (count < 8)
    assert len(found.of("kept")) >= count / 2
    assert bool(found.scores.isfinite().all())


def test_of_seven_photos_the_defective_one_scores_highest() -> None:
    found = screen([*GOOD[:6], DEFECTS[0]])
    assert int(found.scores.argmax()) == 6
    assert found.verdicts[6] != "kept"


def test_a_photo_has_the_same_verdict_in_any_order() -> None:
    photos = [*GOOD, *DEFECTS]
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3)).tolist()
    before, after = screen(photos), screen([photos[index] for index in order])
    assert [before.verdicts[index] for index in order] == [*after.verdicts]
    torch.testing.assert_close(before.scores[order], after.scores)


def test_photos_alike_to_the_last_digit_are_kept() -> None:
    found = screen([good(10)] * 9, [good(10)])
    assert found.of("kept") == [*range(9)]
    assert bool(found.scores.isfinite().all())
