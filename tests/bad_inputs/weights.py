"""Rows of bad weights, saved models and saved detectors."""

import pickle
from pathlib import Path

import torch
from conftest import drawn
from safetensors.torch import load_file, save_file

from bad_inputs.case import (
    DETECT,
    GENERATE,
    JUDGE,
    PERSONALIZE,
    TOY,
    Harm,
    case,
    edit,
    edit_inside,
    flip,
    half,
    swap,
    then,
    unlink,
    write,
)

POOL, RECORDS, MODEL = "pools/good", "pools/good.normalgen", "models/good"


def tensors(path: str, **changes: torch.Tensor | None) -> Harm:
    """Return what changes tensors of a safetensors file; None stands for values that are not finite."""

    def harm() -> None:
        held = load_file(path)
        for name, value in changes.items():
            held[name] = torch.full_like(held[name], torch.nan) if value is None else value
        save_file(held, path)

    return harm


def first_tensor(path: str, value: float) -> Harm:
    """Return what sets one weight of a file."""

    def harm() -> None:
        held = load_file(path)
        name = next(name for name, tensor in held.items() if tensor.is_floating_point() and tensor.numel() > 1)
        held[name].view(-1)[1] = value
        save_file(held, path)

    return harm


def black_photo() -> None:
    """Draw a folder with one photo that shows nothing."""
    Path("black").mkdir()
    drawn(1).point(lambda _: 3).save("black/a.png")


WEIGHTS = [
    case(
        "a model with a flipped bit", PERSONALIZE, "tiny.safetensors is damaged", harm=flip(f"{MODEL}/tiny.safetensors")
    ),
    case("a model cut in the middle", PERSONALIZE, "tiny.safetensors", harm=half(f"{MODEL}/tiny.safetensors")),
    case("a model of 0 bytes", PERSONALIZE, "tiny.safetensors", harm=write(f"{MODEL}/tiny.safetensors", b"")),
    case(
        "a model with NaN",
        PERSONALIZE,
        "tiny.safetensors is damaged",
        harm=first_tensor(f"{MODEL}/tiny.safetensors", torch.nan),
    ),
    case("a model without weights", PERSONALIZE, "tiny.safetensors", harm=unlink(f"{MODEL}/tiny.safetensors")),
    case("a model without sizes", PERSONALIZE, "tiny.json", harm=unlink(f"{MODEL}/tiny.json")),
    case("a model of other sizes", PERSONALIZE, "tiny", harm=swap(f"{MODEL}/tiny.json", "16", "48")),
    case("a model whose preset is half", PERSONALIZE, "preset.json is damaged", harm=half(f"{MODEL}/preset.json")),
    case(
        "a model whose preset has settings of another version",
        PERSONALIZE,
        "another version of normalgen",
        harm=edit(f"{MODEL}/preset.json", preset={"name": "tiny", "colour": 3}),
    ),
    case(
        "a model whose record is a list",
        GENERATE.replace("--plain 1", "--plain 0 --out other"),
        "customize.json",
        harm=write(f"{MODEL}/customize.json", "[]"),
    ),
    case(
        "a prior with another weight",
        f"customize good {TOY} --out m",
        "not the one in tiny.json",
        harm=first_tensor("prior/tiny.safetensors", 3.0),
    ),
    case(
        "a prior that is a pickle",
        f"customize good {TOY} --out m",
        "prior",
        harm=write("prior/tiny.safetensors", pickle.dumps({"a": 1})),
    ),
    case(
        "a prior with a huge header",
        f"customize good {TOY} --out m",
        "prior",
        harm=write("prior/tiny.safetensors", b"\xff" * 7 + b"\x7f{}"),
    ),
    case(
        "a prior of other tensors",
        f"customize good {TOY} --out m",
        "prior",
        harm=lambda: save_file({"a": torch.zeros(2)}, "prior/tiny.safetensors"),
    ),
    case("a prior without its sizes", f"customize good {TOY} --out m", "prior", harm=unlink("prior/tiny.json")),
    case("weights that are a photo", f"customize good {TOY} --weights good/0.png --out m", "good/0.png"),
    case(
        "weights in an empty folder",
        f"customize good {TOY} --weights nothing --out m",
        "nothing",
        harm=lambda: Path("nothing").mkdir(),
    ),
    case(
        "weights that are a pickle",
        "customize good --preset sd15 --weights w.ckpt --out m",
        "w.ckpt",
        harm=write("w.ckpt", pickle.dumps([1])),
    ),
    case(
        "a Stable Diffusion of an empty index",
        "customize good --preset sd15 --weights sd --out m",
        "sd",
        harm=write("sd/model_index.json", "{}"),
    ),
    case(
        "a Stable Diffusion of a broken index",
        "customize good --preset sd15 --weights sd --out m",
        "sd/unet holds no weights",
        harm=write("sd/model_index.json", "{"),
    ),
    case(
        "features from a pickle",
        f"{DETECT} --features timm:resnet18:w.pt",
        "w.pt",
        harm=write("w.pt", pickle.dumps(print)),
    ),
    case(
        "features from text",
        f"{DETECT} --features timm:resnet18:w.safetensors",
        "w.safetensors",
        harm=write("w.safetensors", "hello"),
    ),
    case(
        "features from weights of another network",
        f"{DETECT} --features timm:resnet18:w.safetensors",
        "w.safetensors",
        harm=lambda: save_file({"a": torch.zeros(2)}, "w.safetensors"),
    ),
]
DETECTORS = [
    case(
        "a detector with a flipped bit",
        JUDGE,
        "detector.safetensors is missing or damaged",
        harm=flip("detector/detector.safetensors"),
    ),
    case(
        "a detector without tensors",
        JUDGE,
        "detector.safetensors is missing",
        harm=unlink("detector/detector.safetensors"),
    ),
    case("a detector whose record is half", JUDGE, "detector.json is damaged", harm=half("detector/detector.json")),
    case(
        "a detector whose record is edited",
        JUDGE,
        "detector.json is damaged",
        "sha256",
        harm=swap("detector/detector.json", "good", "nice"),
    ),
    case(
        "a detector of NaN",
        JUDGE,
        "not finite",
        harm=then(edit("detector/detector.json", files={}), tensors("detector/detector.safetensors", left_out=None)),
    ),
    case(
        "a detector without a bank",
        JUDGE,
        "lacks bank.0",
        harm=then(
            edit("detector/detector.json", files={}),
            lambda: save_file({"left_out": torch.zeros(3)}, "detector/detector.safetensors"),
        ),
    ),
    case(
        "a detector with a narrower bank",
        JUDGE,
        "vectors of length",
        "fit the detector again",
        harm=then(
            edit("detector/detector.json", files={}),
            tensors("detector/detector.safetensors", **{"bank.0": torch.ones(9, 4, 4, 3)}),
        ),
    ),
    case(
        "a detector of no left-out scores",
        JUDGE,
        "detector",
        harm=then(
            edit("detector/detector.json", files={}), tensors("detector/detector.safetensors", left_out=torch.zeros(0))
        ),
    ),
    case(
        "a detector with files outside",
        JUDGE,
        "not a path inside",
        harm=edit("detector/detector.json", files={"../good/0.png": "0" * 64}),
    ),
    case(
        "a detector of another network",
        JUDGE,
        "detector",
        harm=edit("detector/detector.json", network="embedded@00000000"),
    ),
    case("a detector of no settings", JUDGE, "settings", harm=edit("detector/detector.json", settings={})),
    case(
        "a detector with a branch of its own",
        JUDGE,
        "branches",
        harm=edit_inside("detector/detector.json", "settings", branches=["n", "x"]),
    ),
    case(
        "a detector with its model gone",
        JUDGE,
        "lacks deviation.p.0",
        harm=edit_inside("detector/detector.json", "settings", branches=["p", "n"]),
    ),
    case(
        "earlier results whose record is broken",
        DETECT.replace("--out out", "--out detections/good"),
        "run.json is damaged",
        harm=half("detections/good/run.json"),
    ),
    case(
        "earlier results, and now no photo shows anything",
        JUDGE.replace("mixed", "black").replace("--out out", "--out detections/good"),
        "shows nothing",
        harm=black_photo,
    ),
]
ROWS = [*WEIGHTS, *DETECTORS]
