"""Photos to be judged."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from detecting import crossed

from normalgen.data.queries import find_queries, is_labelled
from normalgen.errors import DataError
from normalgen.images.images import Images


def test_queries_come_in_batches_read_and_decoded_once_as_a_detector_wants_them(
    here: Path, reads: Counter[str], decoded: Counter[str]
) -> None:
    Path("mixed/cross/broken.png").write_bytes(b"no picture")
    queries = find_queries(Path("mixed"))
    batches = list(queries.batches(32, 2, side=20))
    assert [(len(photos), [*errors]) for photos, errors in batches] == [(2, []), (1, ["cross/broken.png"]), (2, [])]
    assert set(decoded.values()) == {1}
    assert set(reads.values()) == {1}
    photos = [photo for some, _ in batches for photo in some]
    rest = Images([item for item in queries.images.items if item.name != "cross/broken.png"])
    assert torch.stack([photo.pixels for photo in photos]).equal(rest.pixels(32))
    assert [photo.digest for photo in photos] == rest.hashes()
    assert [photo.name for photo in photos] == rest.names
    assert {photo.picture.size for photo in photos if photo.picture} == {(20, 20)}
    assert queries.labels == ("cross", "cross", "cross", "good", "good", "good")


def test_queries_are_a_file_a_folder_or_labelled_folders(here: Path) -> None:
    assert find_queries(Path("mixed/good/20.png")).labels == (None,)
    assert find_queries(Path("mixed/good")).labels == (None,) * 3
    found = find_queries(Path("mixed"))
    assert is_labelled(found.labels)
    assert sorted(set(found.labels), key=str) == ["cross", "good"]
    with pytest.raises(DataError, match="does not exist"):
        find_queries(Path("nowhere"))
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no images in empty"):
        find_queries(Path("empty"))


def test_photos_in_hidden_folders_are_no_queries(tmp_path: Path) -> None:
    for folder in ("good", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
        crossed(3).save(tmp_path / folder / "a.png")
    assert find_queries(tmp_path).images.names == ["good/a.png"]
