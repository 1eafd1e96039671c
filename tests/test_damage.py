"""Damage to any file that we read back: the same as before, or one line; no traceback, and never another result."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_sets
import torch
from conftest import drawn
from detecting import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from result_cells import cell

from normalgen.customizing.dreambooth import fine_tune
from normalgen.data.manifest import read_manifest
from normalgen.data.readers.head_ct import head_ct
from normalgen.data.readers.visa import visa_category
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.one_to_normal.saved_detector import read_detector
from normalgen.detectors.one_to_normal.text_branch import TextMaps
from normalgen.diffusion.model import NormalModel
from normalgen.diffusion.saved_model import read_saved
from normalgen.diffusion.tiny.tiny_parts import open_tiny
from normalgen.errors import NormalgenError
from normalgen.evaluation.cells import load_cells
from normalgen.evaluation.setups import _Seconds
from normalgen.images.images import Images
from normalgen.io.atomic import json_bytes
from normalgen.io.cache import KeptFiles
from normalgen.io.checkpoint import read_checkpoint, write_checkpoint
from normalgen.io.outputs import replacing, see_free
from normalgen.io.records import text_digest, write_record
from normalgen.io.run_folder import read_record
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import read_run
from normalgen.pool.origin import origin_of
from normalgen.pool.workers import Window
from normalgen.references import References, from_manifest, write_manifest
from normalgen.settings.preset import Preset
from normalgen.settings.presets import change

WEIGHT = Path("model/tiny.safetensors")


def generate(root: Path) -> list[str]:
    """The command that makes the pool, and mends it."""
    folders = ["--model", str(root / "model"), "--out", str(root / "pool")]
    return [
        "generate",
        str(root / "good"),
        "--category",
        "good",
        "-n",
        "3",
        *folders,
        "--plain",
        "1",
        "--gate",
        "--device",
        "cpu",
    ]


@pytest.fixture(scope="module")
def world(toy_preset: Preset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, a model, a pool with a round of workers, a detector, cells, tables, a cache and a checkpoint."""
    root = tmp_path_factory.mktemp("world")
    for seed in range(2):
        (root / "good").mkdir(exist_ok=True)
        drawn(seed).save(root / "good" / f"{seed}.png")
    references = References(Images.from_folder(root / "good"), "good", "good", None, 2)
    fine_tune(references, change(toy_preset, train={"steps": 1, "prior_weight": 0.0}), root / "model")
    assert run(*generate(root)) == 0
    write_manifest(references, root / "shots.json")
    OneToNormal(branches=("n",)).fit(references, Pool.load(root / "pool")).save(root / "detector")
    write_record(root / "results/cells/elpv/0.json", cell(0.5))
    with replacing(root / "out", "normalgen detect", ["*.csv"]) as outputs:
        outputs.text("results.csv", "file\n")
    tiny_sets.visa(root / "visa")
    tiny_sets.head_ct(root / "head")
    KeptFiles(root / "cache", "*.bin").keep(root / "cache/a.bin", b"twin")
    write_checkpoint(root / "checkpoint.pt", {"plan": {"steps": 4}, "step": 2, "weights": torch.arange(64.0)})
    window = {"n": 9, "shards": 2, "start": 0, "stop": 8, "group": 4}
    write_record(root / "drawn/window.json", {"settings": window})
    TextMaps([4], 8, features="few", size=16, learnt_from=["a" * 16]).save(root / "text.safetensors")
    _Seconds(root / "seconds.json").of("pool", list, done=False)
    return root


class Few:
    """Features that text maps are for."""

    name, size, text = "few", 16, None


def opened(root: Path) -> object:
    record, tensors = read_detector(root / "detector")
    return record, {name: value.tolist() for name, value in tensors.items() if value.numel() < 100}


def checkpoint(root: Path) -> object:
    state = read_checkpoint(root / "checkpoint.pt")
    return None if state is None else (state["plan"], state["step"], state["weights"].tolist())


def pool(root: Path) -> object:
    made = Pool.load(root / "pool")
    return made.rows, [image.tobytes() for image in made.images], made.preset(), made.rejected()


def shots(root: Path) -> object:
    chosen = read_manifest(root / "shots.json")
    normals = Images.from_folder(root / "good")
    return from_manifest(normals, chosen, category="good", noun="good").images.names


def table(names: Callable[[Path], Any], root: Path) -> object:
    category = names(root)
    return [*category.normals.names, *((test.image.name, test.kind) for test in category.tests)]


# What can be made again may come as None; what people may write by hand may come as something else.
AGAIN, BY_HAND = {"cache", "checkpoint", "seconds"}, {"manifest", "visa", "head ct"}
KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "rows": ("pool/metadata.jsonl", pool),
    "candidates": ("pool.normalgen/candidates.jsonl", pool),
    "image": ("pool/images/00001.png", pool),
    "pool's run": ("pool.normalgen/run.json", lambda root: (read_run(root / "pool"), origin_of(root / "pool"))),
    "gate": ("pool.normalgen/gate.json", lambda root: Pool.load(root / "pool").gate()),
    "preset": ("model/preset.json", lambda root: read_saved(root / "model")),
    "sizes": ("model/tiny.json", lambda root: open_tiny(root / "model").digest),
    "weights": (str(WEIGHT), lambda root: NormalModel.load(root / "model").digest),
    "customized": ("model/customize.json", lambda root: read_record(root / "model/customize.json")),
    "manifest": ("shots.json", shots),
    "detector": ("detector/detector.json", opened),
    "tensors": ("detector/detector.safetensors", opened),
    "cell": ("results/cells/elpv/0.json", lambda root: load_cells(root / "results").to_json()),
    "detection": ("out/run.json", lambda root: see_free(root / "out", "normalgen detect")),
    "visa": ("visa/split_csv/1cls.csv", lambda root: table(lambda top: visa_category(top / "visa", "candle"), root)),
    "head ct": ("head/labels.csv", lambda root: table(lambda top: head_ct(top / "head"), root)),
    "cache": ("cache/a.bin", lambda root: KeptFiles(root / "cache", "*.bin").read(root / "cache/a.bin", bytes)),
    "checkpoint": ("checkpoint.pt", checkpoint),
    "text maps": (
        "text.safetensors",
        lambda root: [*map(str, TextMaps.load(root / "text.safetensors", Few()).state_dict().items())],  # type: ignore[arg-type]
    ),
    "seconds": ("seconds.json", lambda root: _Seconds(root / "seconds.json").read()),
    "round": ("drawn/window.json", lambda root: Window._read(root / "drawn")),
}
SLOW = ("weights", "sizes")
ODD: list[object] = [
    None,
    True,
    -1,
    10**400,
    3.5,
    1e308,
    "",
    "../../x",
    "/etc/passwd",
    "\udcff",
    [],
    {},
    [[]],
    "9" * 999,
]


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield (*path, key)
        yield from places(held, (*path, key))


def edited(data: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """A JSON value, or one line of JSON, with an entry dropped or replaced; and whether its digest was made to fit."""
    lines = data.splitlines()
    at = draw.randrange(len(lines)) if len(lines) > 1 and lines[0].startswith(b'{"') else None
    try:
        value: Any = json.loads(data if at is None else lines[at])
    except ValueError:
        return data + b"?", False
    where = draw.choice([*places(value)])
    held = value
    for key in where[:-1]:
        held = held[key]
    if draw.random() < 0.3:
        del held[where[-1]]
    else:
        held[where[-1]] = draw.choice(ODD)
    meant = draw.random() < 0.5 and value.pop("sha256", None) is not None
    text = json_bytes(value | {"sha256": text_digest(json_bytes(value))} if meant else value)
    for odd in (b"NaN", b"1e999", b"-Infinity", b"[" * 3000):
        text = text.replace(b"3.5", odd) if draw.random() < 0.2 else text
    return text if at is None else b"\n".join([*lines[:at], text, *lines[at + 1 :]]) + b"\n", meant or "sha256" in where


def damaged(data: bytes, how: str, seed: int) -> tuple[bytes, bool]:
    """The data with this kind of damage, and whether somebody took care that digests fit it: types alone are left."""
    draw = random.Random(seed)
    at, lines = draw.randrange(len(data)), data.splitlines(keepends=True)
    match how:
        case "cut":
            return data[:at], False
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :], False
        case "noise":
            return data[:at] + draw.randbytes(draw.randrange(1, 40)) + data[at + draw.randrange(40) :], False
        case "encode":
            other = draw.choice(["utf-16", "utf-32", "utf-8-sig", "cp037"])
            return data.decode("latin-1").encode(other, "replace"), False
        case "lines":
            return b"".join(draw.choices(lines, k=draw.randrange(len(lines) + 2))), False
        case _:
            return edited(data, draw)


HOW = ("cut", "flip", "noise", "encode", "lines", "edit", "edit", "edit")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=1000, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    kind=st.sampled_from([kind for kind in KINDS for _ in range(1 if kind in SLOW else 5)]),
    how=st.sampled_from(HOW),
    seed=st.integers(0, 2**32),
)
def test_damage_never_passes_for_something_else(world: Path, kind: str, how: str, seed: int) -> None:
    name, use = KINDS[kind]
    whole, before = (world / name).read_bytes(), use(world)
    data, meant = damaged(whole, how, seed)
    (world / name).write_bytes(data)
    try:
        after, error = use(world), ""
    except NormalgenError as raised:
        after, error = None, str(raised)
    finally:
        (world / name).write_bytes(whole)
    assert "\n" not in error
    assert error or after == before or meant or kind in BY_HAND or (kind in AGAIN and not after)


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Path], list[str]]]] = {
    "check": (
        ("rows", "candidates", "image", "pool's run", "gate"),
        lambda root: ["pool", "check", str(root / "pool")],
    ),
    "results": (("cell",), lambda root: ["results", str(root / "results"), "--format", "csv"]),
    "generate": (("rows", "candidates", "image", "pool's run", "gate", "preset", "weights", "sizes"), generate),
    "manifest": (("manifest",), lambda root: [*generate(root), "--manifest", str(root / "shots.json")]),
}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=24, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    case=st.sampled_from([(name, kind) for name, (kinds, _) in COMMANDS.items() for kind in kinds]),
    how=st.sampled_from(HOW),
    seed=st.integers(0, 2**32),
)
def test_commands_end_well_or_with_one_line(
    world: Path, case: tuple[str, str], how: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command, kind = case
    whole = {path: path.read_bytes() for path in world.rglob("*") if path.is_file()}
    data, meant = damaged(whole[world / KINDS[kind][0]], how, seed)
    (world / KINDS[kind][0]).write_bytes(data)
    try:
        status = run(*COMMANDS[command][1](world))
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert (status, len(errors)) in ((0, 0), (1, 1))
        if status == 0 and command == "generate" and not meant:
            images = [path for path in whole if path.parent.name == "images"]
            assert {path: path.read_bytes() for path in images} == {path: whole[path] for path in images}
            assert KINDS["rows"][1](world)
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
