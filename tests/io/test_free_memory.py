from pathlib import Path

import pytest

from normalgen.errors import PresetError
from normalgen.io import free_memory


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(free_memory, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "GROUP", tmp_path)
    return tmp_path


def test_the_least_of_machine_and_container_counts_and_cached_files_give_way(said: Path) -> None:
    assert free_memory.free_memory() is None
    (said / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:     4 kB\n")
    assert free_memory.free_memory() == 4096
    for name, text in (
        ("current", "3000\n"),
        ("max", "4000\n"),
        ("stat", "inactive_file 500\nanon 9\nactive_file 7\n"),
    ):
        (said / f"memory.{name}").write_text(text)
    assert free_memory.free_memory() == 1507
    (said / "memory.max").write_text("max\n")
    assert free_memory.free_memory() == 4096


def test_more_than_is_free_is_refused_with_both_numbers(said: Path) -> None:
    free_memory.need_memory(2**60, "a bank", "use less")  # nobody says what is free
    (said / "meminfo").write_text("MemAvailable:     2000000 kB\n")
    free_memory.need_memory(2_048_000_000, "a bank", "use less")
    with pytest.raises(PresetError, match=r"a bank needs 3\.0 GB, and 2\.0 GB of memory are free; use less"):
        free_memory.need_memory(3_000_000_000, "a bank", "use less")
