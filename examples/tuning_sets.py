"""Draw the tuning sets: photos of invented parts and of surfaces on which settings are chosen.

    python examples/tuning_sets.py --list
    python examples/tuning_sets.py ROOT
    python examples/tuning_sets.py ROOT --only flange
    normalgen evaluate --data ROOT ...

Each set has 120 good photos to learn from, 90 good ones to test, and four kinds of defect with masks, in MVTec-AD's
layout. Every run writes the same bytes. Sets of a texture from a Debian package need it unpacked:

    apt-get download mypaint-data-extras && dpkg -x mypaint-data-extras_*.deb packages/mypaint-data-extras
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tuning.sets import PACKAGE, TuningSet, tuning_sets


def save(image: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)


def write(chosen: TuningSet, root: Path, train: int, good: int, defects: int) -> None:
    """Write one set to `root/NAME`."""
    folder = root / chosen.name
    for i in range(train):
        save(chosen.photo("train", i), folder / f"train/good/{i:03d}.png")
    for i in range(good):
        save(chosen.photo("good", i), folder / f"test/good/{i:03d}.png")
    for kind in chosen.kinds:
        for i in range(defects):
            image, mask = chosen.defective(kind, i, defects)
            save(image, folder / f"test/{kind}/{i:03d}.png")
            save(mask, folder / f"ground_truth/{kind}/{i:03d}_mask.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", help="folder to write to; each set becomes a folder in it")
    parser.add_argument("--list", action="store_true", help="list the sets and their kinds of defect")
    parser.add_argument("--only", help="write only this set")
    parser.add_argument(
        "--unpacked", type=Path, default=Path("packages"), help="one folder per unpacked Debian package"
    )
    parser.add_argument("--train", type=int, default=120, help="good photos to learn from")
    parser.add_argument("--good", type=int, default=90, help="good photos to test")
    parser.add_argument("--defects", type=int, default=20, help="photos of each kind of defect")
    arguments = parser.parse_args()
    sets = tuning_sets(arguments.unpacked)
    if arguments.list:
        for one in sets:
            print(f"{one.name:10} {', '.join(one.kinds)}{f' (needs {PACKAGE})' if one.file else ''}")
        return
    if arguments.root is None:
        parser.error("name the folder to write to, or --list")
    if arguments.only:
        sets = [one for one in sets if one.name == arguments.only]
        if not sets:
            names = ", ".join(one.name for one in tuning_sets(arguments.unpacked))
            parser.error(f"--only must be one of {names}, got {arguments.only!r}")
    for one in sets:
        if one.file and not one.file.is_file():
            message = (
                f"{one.name} needs {one.file}: apt-get download {PACKAGE}, and dpkg -x it to {one.file.parents[5]}"
            )
            if arguments.only:
                sys.exit(message)
            print(f"left out: {message}", file=sys.stderr)
            continue
        print(f"{one.name} ...", end=" ", flush=True)
        write(one, arguments.root, arguments.train, arguments.good, arguments.defects)
        print("done", flush=True)


if __name__ == "__main__":
    main()
