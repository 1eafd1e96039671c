"""The documents: every command runs, every path exists."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import datasets
import pytest
from PIL import Image

from normalgen.cli import main
from normalgen.detectors.specs import DETECTORS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = ["--size", "64", "--training-steps", "1", "--device", "cpu", "--no-gate"]
SMALL = {"size": 64, "train": {"steps": 1}, "pool": {"gate": False}}
DOCS = [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
BRIEF = ["--size", "64", "--device", "cpu", "--training-steps"]
FEW = "--shots 2 --seeds 1 --tests 6 -n 2 --training-steps 1 --no-gate --detectors memory --device cpu".split()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def run(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code


def test_the_two_commands_of_a_new_user_are_there() -> None:
    first = "pip install -c constraints.txt -e '.[vit,samples]' && normalgen generate --category elpv-mono -n 100"
    assert first in README
    assert "pip install -c constraints.txt -e '.[dev,samples]' && pytest" in README


def test_every_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for command in commands():
        words = shlex.split(command)
        brief = [*BRIEF, "100" if "good" in words else "4"]  # so many, for the gate to keep what diffusion draws
        if words[0] == "python":
            subprocess.run([sys.executable, str(ROOT / words[1]), *words[2:]], check=True)
        elif words[:2] == ["normalgen", "generate"]:
            words[words.index("-n") + 1] = "2"
            run([*words[1:], *brief])
        elif words[:2] in (["normalgen", "detect"], ["normalgen", "personalize"]):
            run([*words[1:], *(brief if "--references" in words else BRIEF[2:4])])
        elif words[:2] == ["normalgen", "evaluate"]:
            run([*words[1 : words.index("--jobs")], *words[words.index("--jobs") + 2 :], *FEW])
        elif words[0] == "normalgen":
            run(words[1:])
        else:
            assert words[0] in ("pip", "pytest")
            continue
        ran += 1
    assert ran >= 12
    assert Path("detections/good/report.html").is_file()
    assert len(datasets.load_dataset("pools/good", split="train")) == 24


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("good", "mixed"):
        subprocess.run([sys.executable, str(ROOT / "examples/draw_parts.py"), folder], check=True)
    run(["generate", "good", "-n", "2", *QUICK])
    for block in blocks("python"):
        small = block.replace("n=100", f"n=2, settings={SMALL}")
        exec(compile(small, "README.md", "exec"), {"__name__": "readme"})
    assert len(datasets.load_dataset("pools/good", split="train")) == 2
    assert Path("detections/good/report.html").is_file()


@pytest.mark.parametrize("document", ["README.md", *DOCS])
def test_the_detectors_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"--detector '?([a-z-]+)", text)
    named += [name for line in re.findall(r"--detectors '?([a-z,-]+)", text) for name in line.strip(",").split(",")]
    saved = set(re.findall(r"--save ([a-z-]+)", text))
    assert {name for name in named if name not in saved} <= {*DETECTORS, "mypackage", "own", "package"}


def test_the_extras_named_in_the_readme_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for group in re.findall(r"'\.\[(.*?)\]'", README) for name in group.split(",")}
    assert named <= set(extras)


def test_the_constraints_name_one_version_of_all_that_is_asked_for_but_torch() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {plain(line) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name != "interop"}
    asked = {plain(line) for line in [*project["dependencies"], *(line for lines in extras.values() for line in lines)]}
    assert {name for name in asked if not name.startswith("normalgen[")} - pinned == {"torch"}
    assert not {name for name in pinned if re.match("normalgen|torch$|torchvision|triton|nvidia|cuda", name)}


def plain(requirement: str) -> str:
    """The package's name, spelled in one way."""
    return re.sub(r"[-_.]+", "-", re.split("[<>=]", requirement)[0]).lower()


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/detection.md",
        "docs/reproduce.md",
        "docs/evaluation.md",
        "docs/results.md",
        "docs/choices.md",
        "docs/datasets.md",
        "docs/baselines.md",
        "normalgen/diffusion/tiny/prior/README.md",
    ],
)
def test_links_and_pictures_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        path = (ROOT / document).parent / target
        assert path.exists(), target
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width > 200


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *DOCS, ".ci/run", ".ci/newest", "pyproject.toml"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:normalgen|tests|examples|baselines|docs)/[\w/-]+\.(?:py|md)\b", text))
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("folder", ["evaluation", "protocol", "classes", "pool-size", "unlabeled-24", "unlabeled-100"])
def test_the_committed_tables_are_what_their_cells_give(tmp_path: Path, folder: str) -> None:
    there = ROOT / "docs/results" / folder
    run(["results", str(there), "--format", "md,csv", "--out", str(tmp_path)])
    for name in ("results.md", "results.csv"):
        assert (tmp_path / name).read_text() == (there / name).read_text(), f"normalgen results {there}"


@pytest.mark.parametrize("folder", ["choices", "choices-reporting"])
def test_the_tables_of_choices_are_what_their_cells_give(folder: str) -> None:
    words = ["tests/benchmarks/customizing.py", "--table", f"docs/results/{folder}"]
    made = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert made.count("\n") > 5
    assert made in (ROOT / "docs/choices.md").read_text(encoding="utf-8")


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


def test_the_changelog_names_this_version() -> None:
    from normalgen import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_command_1_at_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("generate --category elpv-mono -n 100".split())
    pool = datasets.load_dataset("pools/elpv-mono", split="train")
    assert len(pool) == 100
    assert len({row["index"] for row in pool.remove_columns("image")}) == 100
    assert pool[0]["image"].size == (256, 256)
