"""The rooms and their doors, as `normalgen/__init__.py` lists them."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import normalgen

ROOT = Path(normalgen.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ALL = [*FILES, *sorted((ROOT.parent / "baselines").rglob("*.py")), *sorted((ROOT.parent / "examples").rglob("*.py"))]


def rooms() -> list[str]:
    listed = (normalgen.__doc__ or "").split("those above it:")[1]
    lines = re.findall(r"^    ([a-z_/, ]+?)  +", listed, flags=re.MULTILINE)
    return [name.strip(" /") for line in lines for name in line.split(",")]


def room(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | (
                {f"normalgen.{a.name}" for a in node.names} if node.module == "normalgen" else set()
            )
    return names


def label(file: Path) -> str:
    return str(file.relative_to(ROOT.parent))


def test_every_room_is_listed() -> None:
    assert {room(file) for file in FILES} - {"__init__", "__main__"} <= set(rooms())


@pytest.mark.parametrize("file", FILES, ids=label)
def test_a_room_imports_only_rooms_above_it(file: Path) -> None:
    order = rooms()
    if room(file) in ("__init__", "__main__"):
        return
    ours = {name.split(".")[1] for name in imported(file) if name.startswith("normalgen.")} - {"__version__"}
    below = {name for name in ours if order.index(name) > order.index(room(file))}
    assert not below


DOORS = {
    "diffusers": {"diffusion"},
    "transformers": {"diffusion"},
    "peft": {"diffusion"},
    "open_clip": {"features"},
    "timm": {"features"},
    "datasets": {"pool"},
    "sklearn": {"data", "detectors", "evaluation"},
    "matplotlib": {"evaluation"},
    "pandas": {"evaluation"},
    "typer": {"cli"},
    "rich": {"cli"},
    "elpv_dataset": {"data"},
    "normalgen.baselines": {"cli"},
}


@pytest.mark.parametrize("package", DOORS)
def test_each_heavy_package_has_one_door(package: str) -> None:
    users = {room(f) for f in FILES if any(n == package or n.startswith(f"{package}.") for n in imported(f))}
    assert users <= DOORS[package]


def test_matplotlib_stays_in_one_file() -> None:
    users = {f for f in FILES if any(name.split(".")[0] == "matplotlib" for name in imported(f))}
    assert users == {ROOT / "evaluation" / "figures.py"}


def calls(file: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("file", FILES, ids=label)
def test_the_library_neither_prints_nor_seeds_the_world(file: Path) -> None:
    names = {ast.unparse(call.func) for call in calls(file)}
    assert not names & {"print", "np.random.seed", "random.seed", "torch.set_num_threads"}
    if "torch.manual_seed" in names:
        assert "torch.random.fork_rng" in names


@pytest.mark.parametrize("file", ALL, ids=label)
def test_files_and_functions_stay_small(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 300
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    assert all((n.end_lineno or 0) - n.lineno < 60 for n in functions if "cli" not in file.parts)


@pytest.mark.parametrize("file", FILES, ids=label)
def test_no_options_travel_as_kwargs(file: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    assert {f.name for f in functions if f.args.kwarg} <= {"preset", "change"}


def test_the_bundled_prior_is_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "diffusion" / "tiny" / "prior").iterdir()]
    assert sum(sizes) <= 25_000_000


def test_baselines_are_imported_from_inside_the_package() -> None:
    assert Path(importlib.import_module("normalgen.baselines").__file__ or "").parent.name == "baselines"


def test_no_module_stands_at_the_root_but_those_listed() -> None:
    loose = {file.stem for file in ROOT.glob("*.py")}
    assert loose <= {"__init__", "__main__", "errors", "references", "pipeline"}


def test_no_room_is_a_drawer_for_everything() -> None:
    names = {path.stem for path in ROOT.rglob("*") if path.is_dir() or path.suffix == ".py"}
    assert not names & {"utils", "util", "common", "core", "helpers", "misc"}


def test_no_module_and_no_class_is_called_as_another() -> None:
    modules = [file.stem for file in FILES if room(file) != "cli" and not file.stem.startswith("__")]
    trees = [ast.parse(file.read_text()) for file in FILES]
    classes = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for names in (modules, [name for name in classes if not name.startswith("_")]):
        assert {name for name in names if names.count(name) > 1} == set()
