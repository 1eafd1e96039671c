import errno
import os
import resource
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from normalgen.cli import main
from normalgen.errors import DataError
from normalgen.pool.dataset import Pool

Tree = dict[str, bytes | None]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in: six photos in `good`, and what people give by mistake."""
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "broken", "foreign", "mvtec/nut/train/good"):
        Path(folder).mkdir(parents=True)
    for name in ("0.png", "1.png"):
        Path("mvtec/nut/train/good", name).write_bytes((photos / name).read_bytes())
        Path("broken", name).write_bytes((photos / name).read_bytes())
    Path("broken/2.png").write_bytes((photos / "2.png").read_bytes()[:700])
    Path("foreign/thesis.txt").write_text("mine")
    Path("bad.json").write_text("[]")
    return tmp_path


@pytest.fixture
def train(prior: Path) -> list[str]:
    """Options that both commands know, and that make a run short."""
    return ["--weights", str(prior), "--size", "32", "--training-steps", "2", "--device", "cpu"]


@pytest.fixture
def quick(train: list[str]) -> list[str]:
    """A generate command to which folder and further options are added."""
    return ["generate", *train, "--sampling-steps", "10", "--strength", "0.1", "--no-gate", "--plain", "0"]


def tree(folder: Path) -> Tree:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def refused(capsys: Output, *words: str) -> str:
    """The one message of a command that must fail; looks that it is one, and no traceback."""
    capsys.readouterr()
    assert run(*words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("error:") == 1
    assert "Traceback" not in shown.err
    return shown.err.partition("error: ")[2].rstrip("\n")


WRONG = {
    "no such folder": ("gone", "gone does not exist"),
    "a file for a folder": ("good/0.png", "good/0.png is a file, not a folder"),
    "an empty folder": ("empty", "no images in empty"),
    "the images lie deeper": ("mvtec/nut", "name mvtec/nut/train/good if"),
    "a name too long for any folder": ("x" * 300, "cannot be read"),
    "fewer images than -k": ("good -k 7", "k must be from 1 to the 6 normal images of good, got 7"),
    "-k 0": ("good -k 0", "k must be from 1 to the 6"),
    "an unreadable image": ("broken", "broken/2.png cannot be read as an image"),
    "a category with a slash": ("good --category a/b", "got 'a/b'"),
    "a category that climbs": ("--category ..", "got '..'"),
    "a folder with a category that climbs": ("good --category ../good", "got '../good'"),
    "an unknown category": ("--category capsule", "normalgen generate FOLDER_OF_GOOD_PHOTOS --category capsule"),
    "not in this root": ("--category capsule --data mvtec", "there is elpv, elpv-mono, elpv-poly, nut."),
    "no such root": ("--category nut --data gone", "data folder gone does not exist"),
    "neither folder nor category": ("", "name a folder of normal photos"),
    "an unknown preset": ("good --preset huge", "no preset is called 'huge'; choose one of tiny"),
    "a size beyond the range": ("good --size 8", "size must be from 32 to 2048, got 8"),
    "a size off the grid": ("good --size 40", "size must be a multiple of 16, got 40"),
    "training steps below 0": ("good --training-steps -1", "--training-steps must be from 0"),
    "no such weights": ("good --weights gone", "got 'gone'"),
    "weights in a folder without any": ("good --weights empty", "empty holds neither model_index.json"),
    "an unknown device": ("good --device tpu", "device must be auto, cpu, cuda, cuda:N or mps, got 'tpu'"),
    "a device without its number": ("good --device cuda:", "got 'cuda:'"),
    "a device that is not there": ("good --device cuda:99", "this machine has no device 'cuda:99'"),
    "a bad crop": ("good --crop middle", "crop must be 'center' or 'x,y,width,height' in pixels, got 'middle'"),
    "an empty crop": ("good --crop ''", "got ''"),
    "a crop beyond it": ("good --crop 8,8,40,10", "crop 8,8,40,10 extends beyond good/0.png, which is 40 x 40"),
    "no such manifest": ("good --manifest gone.json", "--manifest gone.json does not exist"),
    "a manifest that is none": ("good --manifest bad.json", "bad.json is damaged, or normalgen did not write it"),
    "an empty object": ("good --object ' '", "--object must be one or more words"),
    "a folder of other files": ("good --out foreign", "foreign is not empty (thesis.txt)"),
    "a folder of other files, overwriting": ("good --out foreign --overwrite", "foreign is not empty (thesis.txt)"),
    "a name that no result can have": (f"good --out {'x' * 300}", "cannot be a folder (File name too long)"),
    "a file where the result should be": ("good --out bad.json", "bad.json"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("command", ["generate", "customize"])
def test_a_mistake_gets_one_line_and_leaves_nothing(
    command: str, wrong: str, here: Path, train: list[str], capsys: Output
) -> None:
    words, message = WRONG[wrong]
    before = tree(here)
    assert message in refused(capsys, command, *train, *shlex.split(words))
    assert tree(here) == before


WRONG_POOL = {
    "no images wanted": ("-n 0", "-n must be at least 1, got 0"),
    "fewer than none": ("-n -3", "-n must be at least 1, got -3"),
    "strength 0": ("--strength 0", "strength must be in (0, 1], got 0"),
    "strength above 1": ("--strength 1.5", "strength must be in (0, 1], got 1.5"),
    "strength that is no number": ("--strength nan", "strength must be in (0, 1], got nan"),
    "strength that makes no step": ("--strength 0.05", "strength 0.05 of 10 sampling steps gives no step"),
    "mix above 1": ("--mix 1.1", "mix must be from 0 to 1, got 1.1"),
    "an unknown prompt set": ("--prompts 4", "prompts must be one of 1, 3, 5, 10, got 4"),
    "more explicit steps than there are": (
        "--explicit-steps 4",
        "--explicit-steps must be at most 1, the steps that --strength 0.1 of --sampling-steps 10 gives, got 4",
    ),
    "more explicit steps than from noise": (
        "--mix 0 --explicit-steps 11",
        "--explicit-steps must be at most 10, the steps that --sampling-steps 10 gives, got 11",
    ),
    "distilled weights for the small model": ("--distilled gone.safetensors", "--distilled: gone.safetensors"),
    "a foreign folder for the model": ("--model foreign", "foreign is not empty (thesis.txt)"),
    "a file for the model": ("--model bad.json", "bad.json"),
}


@pytest.mark.parametrize("wrong", WRONG_POOL)
def test_a_mistake_about_the_pool_gets_one_line_and_leaves_nothing(
    wrong: str, here: Path, quick: list[str], capsys: Output
) -> None:
    words, message = WRONG_POOL[wrong]
    before = tree(here)
    assert message in refused(capsys, *quick, "good", *shlex.split(words))
    assert tree(here) == before


def test_a_model_of_another_category_is_refused(here: Path, quick: list[str], train: list[str], capsys: Output) -> None:
    run("customize", *train, "good", "--out", "model")
    before = tree(here)
    message = refused(capsys, *quick, "mvtec/nut/train/good", "--category", "nut", "--model", "model")
    assert "the model was customized on 'good', the references are 'nut'" in message
    assert tree(here) == before


CHANGED = {
    "strength": ("--strength 0.75", "--strength was 0.1, now 0.75"),
    "two settings": ("--mix 0.25 --prompts 1", "--mix was 1.0, now 0.25; --prompts was 3, now 1"),
    "seed": ("--seed 1", "seed was 0, now 1"),
    "noun": ("--object nut", 'object was "good", now "nut"'),
    "references": ("-k 2", "references was"),
    "crop": ("--crop center", 'crop was null, now "center"'),
    "training of the model": ("--training-steps 3", "--training-steps was 2, now 3"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def made(kept: Path, quick: list[str], here: Path) -> Tree:
    """What a finished run leaves; run once, copied after that."""
    if not any(kept.iterdir()):
        assert run(*quick, "good", "-n", "2") == 0
    for name in ("models", "pools"):
        source, target = (kept, here) if (kept / name).is_dir() else (here, kept)
        shutil.copytree(source / name, target / name)
    return tree(here)


@pytest.mark.parametrize("changed", CHANGED)
def test_a_pool_of_other_settings_is_refused_and_kept(
    changed: str, made: Tree, here: Path, quick: list[str], capsys: Output
) -> None:
    words, message = CHANGED[changed]
    said = refused(capsys, *quick, "good", "-n", "3", *shlex.split(words))
    assert f" was made with other settings: {message}" in said
    assert tree(here) == made


@pytest.mark.parametrize("record", ["pools/good.normalgen/run.json", "models/good/customize.json"])
def test_a_damaged_record_is_named(record: str, made: Tree, quick: list[str], capsys: Output) -> None:
    for text in ("{", "[]"):
        Path(record).write_text(text)
        assert record in refused(capsys, *quick, "good", "-n", "3")


@pytest.mark.parametrize("at", [0, 2])
def test_debug_gives_the_error_itself(at: int) -> None:
    words = ["generate", "gone"]
    words.insert(at, "--debug")
    with pytest.raises(DataError, match="gone does not exist"):
        main(words)


def test_control_c_keeps_what_is_done_and_says_how_to_go_on(
    quick: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*quick, "good", "-n", "4", "--object", "steel nut"]
    monkeypatch.setattr(sys, "argv", ["normalgen", *command, "--overwrite"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_file("00002.png", lambda path: signal.raise_signal(signal.SIGINT)))
        assert run(*command, "--overwrite") == 130
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "To resume: " in line]
    again = shlex.split(line.partition("To resume: ")[2])
    assert again == ["normalgen", *command, "--overwrite"]
    assert len(Pool.load(Path("pools/good"))) == 2
    assert run(*again[1:]) == 0
    assert len(Pool.load(Path("pools/good"))) == 4


def test_control_c_while_other_settings_take_over_can_be_gone_on_from(
    made: Tree, quick: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*quick, "good", "-n", "3", "-k", "3", "--overwrite"]
    monkeypatch.setattr(sys, "argv", ["normalgen", *command])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_file("customize.json", lambda path: signal.raise_signal(signal.SIGINT)))
        assert run(*command) == 130
    again = shlex.split(capsys.readouterr().err.partition("To resume: ")[2])
    assert run(*again[1:]) == 0
    assert len(Pool.load(Path("pools/good"))) == 3


def at_file(name: str, happens: Callable[[Path], None]) -> Callable[[Path, Path], Path]:
    """Path.replace, but `happens` first where the target is called `name`."""
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == name:
            happens(target)
        return real(self, target)

    return replace


def no_space(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@pytest.mark.parametrize("name", ["00002.png", "README.md", "contact_sheet.png"])
def test_a_full_disk_gets_one_line_and_the_pool_stays_whole(
    name: str, made: Tree, quick: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "README.md":
        Path("pools/good", name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", at_file(name, no_space))
        said = refused(capsys, *quick, "good", "-n", "4")
    assert said.startswith("cannot read or write (No space left on device: ")
    assert "the same command resumes" in said
    assert f"{name})" in said
    assert len(Pool.load(Path("pools/good"))) == (4 if name == "contact_sheet.png" else 2)
    assert not list(Path("pools").rglob("*.partial"))
    assert run(*quick, "good", "-n", "4") == 0


@pytest.mark.parametrize("limit", [20_000, 140_000])
def test_a_disk_that_fills_while_customizing_gets_one_line(limit: int, quick: list[str], capsys: Output) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        said = refused(capsys, *quick, "good", "-n", "2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "cannot read or write (File too large" in said
    assert not list(Path().rglob("*.partial"))
    assert run(*quick, "good", "-n", "2") == 0


def test_a_row_that_a_full_disk_cuts_off_is_taken_back(made: Tree, quick: list[str], capsys: Output) -> None:
    metadata = Path("pools/good/metadata.jsonl")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
        said = refused(capsys, *quick, "good", "-n", "60")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "cannot read or write (File too large" in said
    assert "metadata.jsonl" in said
    assert metadata.stat().st_size < 8000
    assert 2 < len(Pool.load(metadata.parent)) < 60
    assert run(*quick, "good", "-n", "60") == 0
    assert [row["index"] for row in Pool.load(metadata.parent).rows] == list(range(60))
