import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from normalgen.data.manifest import Shots, read_manifest
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.references import References, choose, from_manifest, write_manifest

NAMES = [f"{i:03d}.png" for i in range(60)]


def listed(names: Sequence[str] = NAMES) -> Images:
    return Images([ImageItem(name, name, name.encode) for name in names])


def names(
    k: int | None, *, images: Images | None = None, dataset: str = "mvtec", category: str = "nut", seed: int = 0
) -> list[str]:
    return choose(images or listed(), k, dataset=dataset, category=category, noun="nut", seed=seed).images.names


@pytest.mark.parametrize("seed", range(5))
def test_fewer_shots_are_the_first_of_more(seed: int) -> None:
    eight = names(8, seed=seed)
    for k in range(1, 9):
        assert names(k, seed=seed) == eight[:k]


def test_no_reference_comes_twice() -> None:
    for seed in range(20):
        assert len(set(names(59, seed=seed))) == 59


def test_the_choice_does_not_depend_on_how_the_files_were_listed() -> None:
    expected = names(8)
    for seed in range(5):
        shuffled = random.Random(seed).sample(NAMES, len(NAMES))
        assert names(8, images=listed(shuffled)) == expected


def test_seed_category_and_data_set_each_change_the_choice() -> None:
    choices = [names(8), names(8, seed=1), names(8, category="bolt"), names(8, dataset="visa")]
    assert len({frozenset(choice) for choice in choices}) == 4


def test_every_image_is_as_likely_to_be_chosen() -> None:
    five = listed(NAMES[:5])
    counts = Counter(name for seed in range(500) for name in names(2, images=five, seed=seed))
    assert sum(counts.values()) == 1000
    assert all(abs(count - 200) < 55 for count in counts.values())  # 5 standard deviations


@pytest.mark.parametrize("k", [None, 60])
def test_all_images_come_in_order_and_without_a_seed(k: int | None) -> None:
    everything = choose(listed(), k, dataset="mvtec", category="nut", noun="hazelnut", seed=3)
    assert (everything.images.names, everything.seed, everything.available) == (NAMES, None, 60)
    assert (everything.category, everything.noun) == ("nut", "hazelnut")


@pytest.mark.parametrize("k", [-1, 0, 61])
def test_more_shots_than_images_or_none_are_refused(k: int) -> None:
    with pytest.raises(DataError, match=f"from 1 to the 60 normal images of nut, got {k}"):
        names(k)


def test_choosing_reads_no_image_but_the_crop_stays() -> None:
    unreadable = Images([ImageItem(name, name, lambda: pytest.fail("read")) for name in NAMES], "center")
    assert choose(unreadable, 4, dataset="d", category="c", noun="n", seed=0).images.crop == "center"


def test_a_manifest_gives_the_same_references_again(photos: Path, tmp_path: Path) -> None:
    images = Images.from_folder(photos)
    chosen = choose(images, 3, dataset="folder", category="good", noun="nut", seed=5)
    write_manifest(chosen, tmp_path / "shots.json")
    shots = read_manifest(tmp_path / "shots.json")
    again = from_manifest(images, shots, category="good", noun="nut")
    assert shots == Shots("good", 5, tuple(zip(chosen.images.names, chosen.images.hashes(), strict=True)))
    assert replace(again, images=chosen.images) == chosen
    assert again.images.items == tuple(images.items[images.names.index(name)] for name in chosen.images.names)


def test_a_manifest_outlives_new_images_and_another_order(photos: Path, references: References, tmp_path: Path) -> None:
    write_manifest(references, tmp_path / "shots.json")
    more = [ImageItem("another.png", "another.png", bytes), *reversed(Images.from_folder(photos).items)]
    again = from_manifest(Images(more), read_manifest(tmp_path / "shots.json"), category="good", noun="part")
    assert again.images.names == ["0.png", "1.png"]
    assert again.available == 7


def test_a_manifest_is_plain_json_that_people_can_read(references: References, tmp_path: Path) -> None:
    write_manifest(references, tmp_path / "shots.json")
    data = json.loads((tmp_path / "shots.json").read_text())
    assert [row["name"] for row in data["references"]] == ["0.png", "1.png"]
    assert (data["category"], data["seed"], data["k"]) == ("good", 0, 2)


def test_a_changed_image_is_refused_by_name(photos: Path, references: References, tmp_path: Path) -> None:
    write_manifest(references, tmp_path / "shots.json")
    (photos / "1.png").write_bytes((photos / "2.png").read_bytes())
    with pytest.raises(DataError, match=r"names '1\.png' .*; 1\.png is another image now"):
        from_manifest(Images.from_folder(photos), read_manifest(tmp_path / "shots.json"), category="good", noun="part")


def test_a_missing_image_is_refused_by_name(photos: Path, references: References, tmp_path: Path) -> None:
    write_manifest(references, tmp_path / "shots.json")
    (photos / "1.png").unlink()
    with pytest.raises(DataError, match=r"names '1\.png' \(SHA-256 \w{12}\), which is not among the 5 images of good"):
        from_manifest(Images.from_folder(photos), read_manifest(tmp_path / "shots.json"), category="good", noun="part")


ROW = '{"name": "0.png", "sha256": "00"}'
MALFORMED = {
    "not JSON": ("hello", "is damaged, or normalgen did not write it"),
    "a list": ("[]", "is damaged, or normalgen did not write it"),
    "no references": ('{"category": "nut", "seed": 0}', "is damaged, or normalgen did not write it"),
    "no category": (f'{{"seed": 0, "references": [{ROW}]}}', "is damaged, or normalgen did not write it"),
    "a bare name": (
        '{"category": "nut", "seed": 0, "references": ["0.png"]}',
        "is damaged, or normalgen did not write it",
    ),
    "no hash": (
        '{"category": "nut", "seed": 0, "references": [{"name": "0.png"}]}',
        "is damaged, or normalgen did not write it",
    ),
    "empty": ('{"category": "nut", "seed": 0, "references": []}', "names no references"),
    "twice": (f'{{"category": "nut", "seed": 0, "references": [{ROW}, {ROW}]}}', "names a reference twice"),
}


@pytest.mark.parametrize("malformed", MALFORMED)
def test_what_is_no_manifest_is_named(malformed: str, tmp_path: Path) -> None:
    text, reason = MALFORMED[malformed]
    (tmp_path / "shots.json").write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        read_manifest(tmp_path / "shots.json")
    assert str(tmp_path / "shots.json") in str(caught.value)


def test_bytes_a_folder_and_nothing_are_no_manifests(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    for name, reason in {
        "bytes": "is damaged, or normalgen did not write it",
        "folder": "cannot be read",
        "gone": "does not exist",
    }.items():
        with pytest.raises(DataError, match=f"{name} {reason}"):
            read_manifest(tmp_path / name)
