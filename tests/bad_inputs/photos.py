"""Photos and masks that cannot be read, show nothing, or must not be where they are."""

import os
from pathlib import Path

from conftest import drawn
from drawn_files import colour16, frames, grey16, part, png
from PIL import Image

from bad_inputs.case import (
    DETECT,
    EVALUATE,
    GENERATE,
    JUDGE,
    PERSONALIZE,
    POOL,
    SCREEN,
    TOY,
    TRAIN_TEXT,
    Harm,
    case,
    every,
    half,
    link,
    move,
    picture,
    then,
    write,
)

BOMB = png(50_000, 50_000, 8, b"\0" * 100)
GREY = Image.new("L", (40, 40), 90)


def only(folder: str, *files: tuple[str, bytes]) -> Harm:
    """Return what makes a folder of these files alone."""
    return then(lambda: Path(folder).mkdir(exist_ok=True), *(write(f"{folder}/{name}", data) for name, data in files))


def pipe(path: str) -> Harm:
    return lambda: os.mkfifo(path)


REFERENCES = [
    case("text named x.png", GENERATE, "good/2.png cannot be read as an image", harm=write("good/2.png", "hello")),
    case("a photo of 0 bytes", GENERATE, "good/2.png is empty", harm=write("good/2.png", b"")),
    case("half a JPEG", GENERATE, "good/9.jpg", harm=then(picture("good/9.jpg", drawn(9)), half("good/9.jpg"))),
    case(
        "12-bit colour", GENERATE, "good/2.png", "12-bit cameras", harm=write("good/2.png", colour16(part(900, 3500)))
    ),
    case("12-bit grey", f"customize good {TOY}", "12-bit", harm=write("good/2.png", grey16(part(900, 3500)))),
    case("a narrow band", GENERATE, "of 256 levels", harm=write("good/2.png", grey16(part(30000, 30900)))),
    case("a constant photo", GENERATE, "good/2.png shows nothing", harm=picture("good/2.png", GREY)),
    case("a lens cap", DETECT, "shows nothing", "good/2.png", harm=picture("good/2.png", Image.new("RGB", (40, 40)))),
    case("overexposed", DETECT, "good/2.png", "almost", harm=picture("good/2.png", Image.new("L", (40, 40), 254))),
    case(
        "invisible", GENERATE, "fully transparent", harm=picture("good/2.png", Image.new("RGBA", (9, 9), (9, 9, 9, 0)))
    ),
    case("an animation", GENERATE, "3 frames, expected 1", harm=write("good/2.gif", frames("gif"))),
    case("float pixels", GENERATE, "8 or 16 bits", harm=picture("good/2.tif", Image.new("F", (9, 9), 0.5))),
    case("a bomb", GENERATE, "good/2.png is too large", "scale it down", harm=write("good/2.png", BOMB)),
    case(
        "one pixel high", GENERATE, "good/2.png is 40 x 1 pixels", harm=picture("good/2.png", drawn(2).resize((40, 1)))
    ),
    case(
        "one pixel wide",
        DETECT,
        "good/2.png is 1 x 40 pixels",
        harm=picture("good/2.png", drawn(2).crop((15, 0, 16, 40))),
    ),
    case("one pixel", GENERATE, "1 x 1 pixels", harm=picture("good/2.png", Image.new("L", (1, 1), 90))),
]
FOLDERS = [
    case("no such folder", "generate gone", "gone does not exist"),
    case("a photo for a folder", "generate good/0.png", "good/0.png is a file, not a folder"),
    case("an empty folder", "generate empty", "no images in empty", harm=only("empty")),
    case("a link in a circle", "generate loop", "loop cannot be read", harm=link("loop", "loop")),
    case("folders named like photos", "generate fake", "no images in fake", harm=write("fake/a.png/b.txt", "")),
    case(
        "a folder of PostScript",
        "generate eps",
        "export them",
        harm=only("eps", ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n")),
    ),
    case(
        "a folder of arrays", "generate arrays", "write the arrays as PNG", harm=only("arrays", ("a.npy", b"\x93NUMPY"))
    ),
    case("a folder of DICOM", "customize dicom", "export the window", harm=only("dicom", ("a.dcm", b"DICM"))),
    case("a folder of raw photos", "generate raw", "develop them", harm=only("raw", ("a.NEF", b"MM"))),
    case(
        "a folder of HEIC",
        f"detect mixed --references heic {TOY}",
        "export them",
        harm=only("heic", ("a.heic", b"ftyp")),
    ),
    case("a folder of pipes", "generate pipes", "no images in pipes", harm=then(only("pipes"), pipe("pipes/a.png"))),
    case(
        "hidden photos alone",
        "generate hidden",
        "no images",
        harm=then(only("hidden"), picture("hidden/.a.png", drawn(1))),
    ),
    case("photos two levels down", "generate set/disc/train", "set/disc/train/good"),
    case("a zip for a folder", "generate a.zip", "a.zip is a file", harm=write("a.zip", b"PK\3\4")),
    case("an empty name", "generate ''", "folder"),
    case("a device", "generate /dev/null", "/dev/null is a file, not a folder"),
]
QUERIES = [
    case("no such queries", DETECT.replace("mixed", "gone"), "gone does not exist"),
    case("queries of a pipe", DETECT.replace("mixed", "p.png"), "p.png is not a regular file", harm=pipe("p.png")),
    case("queries of an empty folder", DETECT.replace("mixed", "empty"), "no images in empty", harm=only("empty")),
    case(
        "queries of raw photos",
        JUDGE.replace("mixed", "raw"),
        "no images in",
        "develop",
        harm=only("raw", ("a.dng", b"MM")),
    ),
    case(
        "queries of masks alone",
        JUDGE.replace("mixed", "m"),
        "masks only",
        harm=move("set/disc/ground_truth/blot", "m/mask"),
    ),
    case(
        "no query can be read",
        JUDGE,
        "none of 5 photos can be read: mixed/cross/30.png",
        harm=every("mixed/*/*.png", lambda path: write(path, "no")),
    ),
    case(
        "all queries are black",
        PERSONALIZE,
        "almost",
        harm=every("mixed/*/*.png", lambda path: picture(path, Image.new("L", (40, 40)))),
    ),
    case(
        "a text for a query",
        DETECT.replace("mixed", "notes.txt"),
        "notes.txt is not read as an image",
        harm=write("notes.txt", "mine"),
    ),
    case(
        "an array for a query",
        JUDGE.replace("mixed", "a.npy"),
        "a.npy is not read as an image; write the arrays as PNG",
        harm=write("a.npy", b"\x93NUMPY"),
    ),
    case(
        "a raw photo for a query",
        JUDGE.replace("mixed", "a.dng"),
        "a.dng is not read as an image; develop",
        harm=then(picture("a.tif", drawn(1)), move("a.tif", "a.dng")),
    ),
    case(
        "half a photo for a query",
        DETECT.replace("mixed", "a.png"),
        "a.png cannot be read",
        harm=write("a.png", b"\x89PNG\r\n\x1a\n"),
    ),
    case("queries in a circle", PERSONALIZE.replace("mixed", "loop"), "loop cannot be read", harm=link("loop", "loop")),
    case("a crop beyond all queries", f"{PERSONALIZE} --crop 0,0,50,50", "crop 0,0,50,50 extends beyond"),
    case("queries inside the results", DETECT.replace("--out out", "--out mixed"), "mixed is inside mixed"),
    case("one name said to be both", f"{JUDGE} --normal cross --anomalous cross", "contradict each other"),
    case("a name that no folder has", f"{JUDGE} --normal crss", "--normal crss", "cross, good"),
]
ROLES = [
    case("calibration with the references", f"{DETECT} --rate 0.5 --calibrate good", "--calibrate good", "got 0"),
    case("calibration with the queries", f"{JUDGE} --rate 0.5 --calibrate mixed/good", "got 0"),
    case(
        "calibration with copies of references",
        f"{DETECT} --rate 0.5 --calibrate copies",
        "got 0",
        harm=then(*(picture(f"copies/{seed}.bmp", drawn(seed)) for seed in range(3))),
    ),
    case("calibration with too few", f"{JUDGE} --calibrate more", "at least 19 photos"),
    case("calibration without photos", f"{JUDGE} --calibrate empty", "--calibrate: no images", harm=only("empty")),
    case("no such calibration", f"{JUDGE} --calibrate gone", "--calibrate: gone does not exist"),
    case(
        "calibration with a broken photo",
        f"{JUDGE} --rate 0.5 --calibrate more",
        "more/40.png",
        harm=write("more/40.png", "x"),
    ),
    case(
        "calibration with a black photo",
        f"{JUDGE} --rate 0.5 --calibrate more",
        "more/40.png shows nothing",
        harm=picture("more/40.png", Image.new("L", (40, 40))),
    ),
]
UNLABELED = [
    case("no such unlabeled photos", SCREEN.replace("more", "gone"), "gone does not exist"),
    case("an empty folder of unlabeled photos", SCREEN.replace("more", "empty"), "no images in", harm=only("empty")),
    case(
        "no unlabeled photo can be read",
        SCREEN,
        "none of 4 photos can be read: more/40.png",
        harm=every("more/*.png", lambda path: write(path, "no")),
    ),
    case(
        "all unlabeled photos are black",
        SCREEN,
        "none of 4 unlabeled photos can be used (more/40.png shows nothing",
        harm=every("more/*.png", lambda path: picture(path, Image.new("L", (40, 40)))),
    ),
    case("unlabeled photos that are the references", SCREEN.replace("more", "good"), "it is a reference"),
    case("unlabeled photos inside the results", SCREEN.replace("--out out", "--out more"), "more is inside more"),
    case("a text for unlabeled photos", SCREEN.replace("more", "n.txt"), "n.txt is not read", harm=write("n.txt", "a")),
    case("a pool from no such photos", f"{POOL} --unlabeled gone", "--unlabeled: gone does not exist"),
    case("a pool from photos that are the references", f"{POOL} --unlabeled good", "it is a reference"),
    case("photos into a pool without photos", f"{GENERATE} --unlabeled more", "pools/good", "without unlabeled photos"),
    case("photos into a pool among photos", f"{GENERATE} --unlabeled more --out good", "good is not empty"),
    case("detection with no such photos", f"{DETECT} --unlabeled gone", "--unlabeled: gone does not exist"),
]
MASK = "set/disc/ground_truth/blot/0_mask.png"
SETS = [
    case(
        "a training photo that is broken",
        EVALUATE,
        "1 images cannot be read",
        "set/disc/train/good/0.png",
        harm=write("set/disc/train/good/0.png", "x"),
    ),
    case(
        "a test photo that is broken",
        f"{EVALUATE} --dry-run",
        "1 images cannot be read",
        "set/disc/test/good/0.png",
        harm=write("set/disc/test/good/0.png", "x"),
    ),
    case("no test photos", EVALUATE, "disc", "test", harm=move("set/disc/test", "elsewhere")),
    case(
        "good test photos alone", EVALUATE, "needs normal and anomalous", harm=move("set/disc/test/blot", "elsewhere")
    ),
    case(
        "test folders of unknown names",
        EVALUATE,
        "normal or anomalous",
        harm=move("set/disc/test/good", "set/disc/test/spring"),
    ),
    case("masks of another size", TRAIN_TEXT, MASK, "must agree", harm=picture(MASK, Image.new("L", (41, 40), 255))),
    case("a mask that marks nothing", TRAIN_TEXT, MASK, harm=picture(MASK, Image.new("L", (40, 40)))),
    case("a mask that cannot be read", TRAIN_TEXT, MASK, harm=write(MASK, "x")),
    case("a mask of 16-bit colour", TRAIN_TEXT, "16-bit colour", harm=write(MASK, colour16(part(0, 60000, size=40)))),
    case("no masks to learn from", TRAIN_TEXT, "mask", harm=move("set/disc/ground_truth", "elsewhere")),
    case(
        "data check of a mask of another size",
        "data check set --dataset folder",
        "must agree",
        harm=picture(MASK, Image.new("L", (41, 40), 255)),
    ),
    case(
        "data check of an empty mask",
        "data check set --dataset folder",
        "marks nothing",
        harm=picture(MASK, Image.new("L", (40, 40))),
    ),
    case(
        "data check of a broken photo",
        "data check set --dataset folder",
        "set/disc/test/good/0.png",
        harm=write("set/disc/test/good/0.png", "x"),
    ),
    case("data check of nothing", "data check", "name the folder to check"),
    case("data check of no folder", "data check gone", "gone does not exist"),
    case("data check of another set", "data check set --dataset mnist", "mnist"),
    case("data split of another set", "data split set --dataset cifar10 --out split.json", "CIFAR-10"),
    case("data split onto a file", "data split set --dataset folder --out shots.json", "shots.json already exists"),
    case("data split below a file", "data split set --dataset folder --out shots.json/a.json", "shots.json is a file"),
]
ROWS = [*REFERENCES, *FOLDERS, *QUERIES, *ROLES, *UNLABELED, *SETS]
