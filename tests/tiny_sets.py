"""Published data sets at toy size, in their exact layouts, with their quirks."""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def picture(path: Path, size: tuple[int, int] = (12, 10)) -> Path:
    """Grey noise that the path decides, of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng([*path.as_posix().encode()])
    Image.fromarray(draw.integers(0, 256, size[::-1], dtype=np.uint8)).save(path)
    return path


def mask(path: Path, size: tuple[int, int] = (12, 10), box: tuple[int, int, int, int] | None = None) -> Path:
    """0, and 1 inside the box (left, top, right, bottom): as faint as VisA's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size[::-1], np.uint8)
    if box:
        values[box[1] : box[3], box[0] : box[2]] = 1
    Image.fromarray(values).save(path)
    return path


def mvtec(root: Path, *names: str) -> Path:
    for name in names:
        for number in range(3):
            picture(root / name / f"train/good/{number:03d}.png")
            picture(root / name / f"test/good/{number:03d}.png")
        for number in range(2):
            picture(root / name / f"test/scratch/{number:03d}.png")
            mask(root / name / f"ground_truth/scratch/{number:03d}_mask.png", box=(2, 3, 6, 7))
    return root


def visa(root: Path) -> Path:
    rows = ["object,split,label,image,mask"]
    for name in ("candle", "pcb1"):
        for number in range(4):
            path = f"{name}/Data/Images/Normal/{number:04d}.JPG"
            picture(root / path)
            rows.append(f"{name},{'train' if number < 3 else 'test'},normal,{path},")
        picture(root / f"{name}/Data/Images/Anomaly/000.JPG")
        mask(root / f"{name}/Data/Masks/Anomaly/000.png", box=(0, 0, 3, 3))
        rows.append(f"{name},test,anomaly,{name}/Data/Images/Anomaly/000.JPG,{name}/Data/Masks/Anomaly/000.png")
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text("\n".join(rows) + "\n")
    return root


def ksdd(root: Path) -> Path:
    """Two commutators of two parts, 9 x 32 pixels; in kos02/Part1 the middle and the last tile are marked."""
    for name in ("kos01/Part0", "kos01/Part1", "kos02/Part0", "kos02/Part1"):
        picture(root / f"{name}.jpg", (9, 32))
        mask(root / f"{name}_label.bmp", (9, 32), (2, 20, 4, 22) if name == "kos02/Part1" else None)
    return root


def aitex(root: Path) -> Path:
    """Two fabrics; three images with defects: one with a mask in two parts, one narrower, one without a mask."""
    picture(root / "NODefect_images/2306881-210020u/0001_000_00.png", (1024, 8))
    picture(root / "NODefect_images/2608691-202020u/0001_000_02.png", (1024, 8))
    defects, masks = root / "Defect_images/Defect_images", root / "Mask_images/Mask_images"
    picture(defects / "0044_019_04.png", (1024, 8))
    mask(masks / "0044_019_04_mask1.png", (1024, 8), (10, 1, 20, 3))
    mask(masks / "0044_019_04_mask2.png", (1024, 8), (600, 1, 620, 3))
    picture(defects / "0062_036_06.png", (600, 8))
    mask(masks / "0062_036_06_mask.png", (600, 8), (500, 0, 520, 8))
    picture(defects / "0100_025_08.png", (1024, 8))
    return root


def brain_mri(root: Path) -> Path:
    for number in range(8):
        picture(root / "no" / f"{number} no.jpg")
        picture(root / "yes" / f"Y{number}.JPG")
    return root


def head_ct(root: Path) -> Path:
    rows = ["id, hemorrhage"]
    for number in range(10):
        picture(root / f"head_ct/head_ct/{number:03d}.png")
        rows.append(f"{number},{int(number < 5)}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def oct2017(root: Path) -> Path:
    for part, kinds in {"train": 3, "val": 1, "test": 2}.items():
        for kind in ("NORMAL", "CNV", "DME", "DRUSEN"):
            for number in range(kinds):
                picture(root / part / kind / f"{kind}-1{number}-{number}.jpeg")
    return root


def bmad(root: Path, *, masks: str = "", train: bool = True) -> Path:
    """BMAD's layout; `masks` is the name of the folder of masks, and without there is none; MVFA's has no `train`."""
    for number in range(3):
        if train:
            picture(root / f"train/good/{number}.png")
        picture(root / f"valid/good/img/{number}.png")
        picture(root / f"test/good/img/{number}.png")
        picture(root / f"test/Ungood/img/{number}.png")
        if masks:
            mask(root / f"test/Ungood/{masks}/{number}.png", box=(1, 1, 4, 4))
    return root


def resc(root: Path) -> Path:
    """Raw: volumes of slices, two of each volume's three without marks."""
    for part in ("Edema_trainingset", "Edema_validationset"):
        for volume in ("P0001_MacularCube", "P0002_MacularCube"):
            for number in range(1, 4):
                picture(root / part / f"original_images/{volume}.img/{number}.bmp")
                box = (1, 1, 3, 3) if number == 2 else None
                mask(root / part / f"label_images/{volume}_labelMark/{number}.bmp", box=box)
    return root


def class_folders(root: Path, names: tuple[str, ...]) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for name in names:
            for number in range(count):
                picture(root / part / name / f"{number:04d}.png", (8, 8))
    return root


def idx(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def mnist(root: Path, train: int = 40, test: int = 20) -> Path:
    """The four gzipped idx files; image i shows i in its first pixel, its label is i modulo 10."""
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 0, 0] = np.arange(count)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (root / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return root


def _text(data: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(data)) + data


def batch(values: NDArray[np.uint8], labels: list[int]) -> bytes:
    """A batch as Python 2 with its numpy pickled it: protocol 2, text for keys and pixels."""
    rows, columns = values.shape
    kind = (
        b"cnumpy\ndtype\n"
        + _text(b"u1")
        + b"K\0K\1\x87R(K\3"
        + _text(b"|")
        + b"NNN"
        + 2 * b"J\xff\xff\xff\xff"
        + b"K\0tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + _text(b"b") + b"\x87R"
    state = b"(K\1" + b"M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", columns) + b"\x86" + kind + b"\x89"
    data = array + state + _text(values.tobytes()) + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\2}(" + _text(b"data") + data + _text(b"labels") + listed + b"u."


def cifar10(root: Path, each: int = 1) -> Path:
    """The six batches of ten times `each` images; labels go round, red says which batch, green which row."""
    root.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate([f"data_batch_{part}" for part in range(1, 6)] + ["test_batch"]):
        values = np.zeros((10 * each, 3, 32, 32), np.uint8)
        values[:, 0] = number
        values[:, 1] = np.arange(10 * each)[:, None, None]
        (root / name).write_bytes(batch(values.reshape(10 * each, -1), [row % 10 for row in range(10 * each)]))
    return root
