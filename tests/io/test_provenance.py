"""A record says what wrote it, to the commit."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from normalgen.io.provenance import revision, versions


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True).stdout


def checkout(folder: Path) -> Path:
    folder.mkdir()
    (folder / "code.py").write_text("1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_a_checkout_is_named_by_its_commit_whatever_its_tags(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "whole")
    git(folder, "tag", "v9")
    commit = git(folder, "rev-parse", "HEAD").strip()
    assert revision(folder) == commit[:12]


def test_a_changed_checkout_says_so(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "changed")
    (folder / "code.py").write_text("2\n")
    assert revision(folder).endswith("-dirty")


def test_an_environment_inside_another_repository_is_not_named_by_it(tmp_path: Path) -> None:
    inside = checkout(tmp_path / "theirs") / "site-packages"
    inside.mkdir()
    assert revision(inside) == ""


def test_without_git_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(tmp_path / "gitless")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(folder) == ""


def test_packages_are_named_with_their_versions() -> None:
    found = versions(("torch",))
    assert found["torch"] == version("torch")
    assert found["normalgen"] == version("normalgen")
    assert found["python"].startswith("3.")
