"""Rows of records, pools, results and manifests that are damaged, edited, of another version, or of something else."""

import json
import pickle
from pathlib import Path

from conftest import drawn
from result_cells import cell

from bad_inputs.case import (
    DETECT,
    EVALUATE,
    GENERATE,
    TOY,
    Harm,
    case,
    change,
    edit,
    flip,
    half,
    link,
    move,
    swap,
    then,
    unlink,
    write,
)

POOL, RECORDS, MODEL = "pools/good", "pools/good.normalgen", "models/good"
GROW = f"{GENERATE} -n 5"
BANK = f"{DETECT} --pool {POOL}"
MANIFEST = f"customize good {TOY} --out other --manifest shots.json"
CELL = "results/cells/elpv/0.json"


def rows(change_rows: object) -> Harm:
    """Return what edits the rows of a pool, whose records are gone, so that types alone are left to check."""
    assert callable(change_rows)

    def harm() -> None:
        path = Path(POOL, "metadata.jsonl")
        held = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in change_rows(held)))

    return harm


def row(**changes: object) -> Harm:
    return rows(lambda held: [held[0] | changes, *held[1:]])


NO_RECORDS = move(RECORDS, "elsewhere")
POOLS = [
    case("a pool whose image is missing", BANK, "pool check pools/good", harm=unlink(f"{POOL}/images/00001.png")),
    case("a pool without its rows", BANK, "pools/good holds no pool", harm=unlink(f"{POOL}/metadata.jsonl")),
    case(
        "a pool of no rows", BANK, "lacks the image", "pool check pools/good", harm=write(f"{POOL}/metadata.jsonl", "")
    ),
    case("a pool with half a row", BANK, "pool check", harm=half(f"{POOL}/metadata.jsonl")),
    case(
        "a pool with one line more", BANK, "line 4", harm=change(f"{POOL}/metadata.jsonl", lambda data: data + b"{}\n")
    ),
    case(
        "a pool with a row twice",
        BANK,
        "pools/good",
        harm=change(f"{POOL}/metadata.jsonl", lambda data: data + data.splitlines(keepends=True)[0]),
    ),
    case(
        "a pool with an edited row",
        BANK,
        "metadata.jsonl",
        harm=swap(f"{POOL}/metadata.jsonl", '"mode": "augmented"', '"mode": "unlabeled"'),
    ),
    case(
        "a pool with a path outside",
        BANK,
        "not a path inside",
        harm=then(NO_RECORDS, row(file_name="../../good/0.png", sha256=None)),
    ),
    case(
        "a pool with an absolute path", BANK, "not a path inside", harm=then(NO_RECORDS, row(file_name="/etc/hostname"))
    ),
    case(
        "a pool behind a link that leads out",
        BANK,
        "not a path inside",
        harm=then(
            NO_RECORDS, unlink(f"{POOL}/images/00000.png"), link(f"{POOL}/images/00000.png", "../../../good/0.png")
        ),
    ),
    case("a pool with an index of text", BANK, "index", harm=then(NO_RECORDS, row(index="0"))),
    case("a pool with a number that JSON has not", BANK, "line 1", harm=then(NO_RECORDS, row(strength=float("nan")))),
    case("a pool of another category's row", BANK, "category", harm=then(NO_RECORDS, row(category="nut"))),
    case(
        "a pool's image that was replaced",
        "pool check pools/good",
        "not the image that was drawn",
        harm=lambda: drawn(77).save(f"{POOL}/images/00001.png"),
    ),
    case(
        "a pool's image that was replaced, in a bank",
        BANK,
        "not the image that was drawn",
        harm=lambda: drawn(78).save(f"{POOL}/images/00001.png"),
    ),
    case(
        "a pool's flipped bit",
        "pool check pools/good",
        "pools/good has 1 fault",
        harm=flip(f"{POOL}/images/00001.png", at=200),
    ),
    case(
        "a pool whose images are a file",
        BANK,
        "pools/good",
        harm=then(move(f"{POOL}/images", "elsewhere2"), write(f"{POOL}/images", "")),
    ),
    case("a pool's settings of another version", GROW, "run.json", harm=edit(f"{RECORDS}/run.json", settings={})),
    case("a pool's settings that are half", GROW, "run.json is damaged", harm=half(f"{RECORDS}/run.json")),
    case(
        "a pool's settings in another alphabet",
        GROW,
        "run.json",
        harm=change(f"{RECORDS}/run.json", lambda data: data.decode().encode("utf-16")),
    ),
    case(
        "a pool's settings that are a folder",
        GROW,
        "run.json",
        harm=then(unlink(f"{RECORDS}/run.json"), write(f"{RECORDS}/run.json/a", "")),
    ),
    case(
        "a pool's cut-offs that are edited",
        "pool check pools/good",
        "gate.json",
        harm=edit(f"{RECORDS}/gate.json", limits="none"),
    ),
    case(
        "a pool's candidates that are damaged",
        "pool check pools/good",
        "candidates.jsonl",
        harm=half(f"{RECORDS}/candidates.jsonl"),
    ),
    case("a merge of a damaged round", "pool merge pools/good", "run.json", harm=write(f"{RECORDS}/run.json", "[1, 2")),
    case("records in place of a pool", "pool check pools/good.normalgen", "holds no pool"),
]
OTHERS = [
    case("no such manifest", MANIFEST.replace("shots.json", "gone.json"), "gone.json does not exist"),
    case("a manifest that is a photo", MANIFEST.replace("shots.json", "good/0.png"), "good/0.png"),
    case("a manifest that is a folder", MANIFEST.replace("shots.json", "good"), "good"),
    case("a manifest of no photos", MANIFEST, "names no references", harm=edit("shots.json", references=[], k=0)),
    case(
        "a manifest of other photos",
        MANIFEST,
        "gone.png",
        harm=edit("shots.json", references=[{"name": "gone.png", "sha256": "0" * 64}], k=1),
    ),
    case(
        "a manifest with a photo twice",
        MANIFEST,
        "names a reference twice",
        harm=edit("shots.json", references=[{"name": "a", "sha256": "0" * 64}] * 2, k=2),
    ),
    case(
        "a manifest of another category",
        MANIFEST,
        "category 'nut', the photos are 'good'",
        "--category nut",
        harm=edit("shots.json", category="nut"),
    ),
    case("a manifest whose count differs", MANIFEST, "says k is 9", harm=edit("shots.json", k=9)),
    case("a manifest nested 10,000 deep", MANIFEST, "nested too deeply", harm=write("shots.json", "[" * 10_000)),
    case(
        "a manifest with a huge number",
        MANIFEST,
        "shots.json",
        harm=write("shots.json", '{"category": "good", "seed": 1' + "0" * 5000 + ', "references": []}'),
    ),
    case("a manifest whose photo changed", MANIFEST, "0.png", harm=lambda: drawn(88).save("good/0.png")),
    case("results of half a cell", "results results", CELL, harm=half(CELL)),
    case("results with NaN", "results results", CELL, harm=swap(CELL, "0.5", "NaN")),
    case("results above 1", "results results", CELL, harm=swap(CELL, '"image_auroc": 0.5', '"image_auroc": 50.0')),
    case(
        "results of one cell twice",
        "results results",
        "are the same cell",
        harm=lambda: Path("results/cells/elpv/9.json").write_bytes(Path(CELL).read_bytes()),
    ),
    case("results of another record", "results results", CELL, harm=write(CELL, '{"settings": {}}')),
    case(
        "results of an arm without a name",
        "results results",
        "an arm must be NAME",
        harm=write(CELL, json.dumps(cell(0.5, arm=":4", extra=4))),
    ),
    case(
        "results of cells in a link that leads nowhere",
        "results results",
        "z.json is missing",
        harm=link("results/cells/elpv/z.json", "gone.json"),
    ),
    case("an evaluation of other settings", EVALUATE.replace("--out out", "--out results"), "results"),
    case(
        "an evaluation whose record is broken",
        EVALUATE.replace("--out out", "--out done"),
        "run.json",
        harm=write("done/run.json", "{"),
    ),
    case(
        "a table without its columns",
        "data check visa --dataset visa",
        "visa is not complete",
        harm=write("visa/split_csv/1cls.csv", "a,b\n1,2\n"),
    ),
    case(
        "a table in another alphabet",
        "data check visa --dataset visa",
        "visa is not complete",
        harm=write("visa/split_csv/1cls.csv", "object,split,label,image,mask\n".encode("utf-16")),
    ),
    case(
        "a table with paths outside",
        "data split visa --dataset visa --out s.json",
        "has no category",
        harm=write("visa/split_csv/1cls.csv", "object,split,label,image,mask\ncandle,train,normal,../good/0.png,\n"),
    ),
    case(
        "digits in a damaged archive",
        "data check digits --dataset mnist",
        "idx3",
        harm=then(
            *(
                write(f"digits/{part}-{kind}-ubyte.gz", b"\x1f\x8b")
                for part in ("train", "t10k")
                for kind in ("images-idx3", "labels-idx1")
            )
        ),
    ),
    case(
        "photos in a pickle that calls",
        "data check cifar --dataset cifar10",
        "data_batch_1",
        harm=then(
            *(
                write(f"cifar/{name}", pickle.dumps(print))
                for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
            )
        ),
    ),
]
ROWS = [*POOLS, *OTHERS]
