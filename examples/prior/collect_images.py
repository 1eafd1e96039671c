"""Build the training crops of the small diffusion prior from freely licensed images.

The sources are listed in `sources.json`: Debian packages, fetched with `apt-get download` and unpacked with `dpkg -x`
into `DIR/<package>`. A file is used only if `is_free` accepts its licence in the package's copyright file
(machine-readable DEP-5 format, last matching paragraph wins). If that file is prose, the image must match the globs
that were copied from it into the source list. Drawn images come from `drawings.py`.

Output: `crops.npy` (N, 256, 256, 3) uint8, `groups.npy` (N,) int32 and `sources.json`. Crops of one group show one
kind: one texture, one photograph, one object, or one setting of a drawing.

    python examples/prior/collect_images.py --unpacked unpacked --out prior --seed 0
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from drawings import draw_group
from numpy.typing import NDArray
from PIL import Image
from sources import Job, Source, list_jobs, package_dir, read_image

SIDE = 256
Crop = NDArray[np.uint8]


def detail(crop: Crop) -> float:
    """Return the mean absolute gradient of the grey image, in grey levels per pixel."""
    grey = crop.astype(np.float32).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def is_good(crop: Crop, least_detail: float) -> bool:
    """Return False for near-constant, nearly black, and featureless crops."""
    return crop.std() > 5 and 12 < crop.mean() < 250 and detail(crop) > least_detail


def is_map(crop: Crop) -> bool:
    """Return True for glow and blend masks, sheets of parts on a flat colour, line drawings, and normal maps."""
    black, white = (crop.max(axis=2) < 14).mean(), (crop.min(axis=2) > 248).mean()
    if black > 0.5 or white > 0.5 or black + white > 0.75:
        return True
    flat = (crop[1:, 1:] == crop[:-1, 1:]).all(axis=2) & (crop[1:, 1:] == crop[1:, :-1]).all(axis=2)
    red, green, blue = np.moveaxis(crop.astype(np.int16), 2, 0)
    bluish = (blue > 190) & (abs(red - green) < 35) & (abs(red - 128) < 50) & (blue - np.maximum(red, green) > 40)
    return bool(flat.mean() > 0.4 or bluish.mean() > 0.3)


def shrink(image: Image.Image) -> Crop:
    """Return the image at 256 x 256 pixels, antialiased."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).convert("RGB"), dtype=np.uint8)


def cut(image: Image.Image, count: int, kind: str, rng: np.random.Generator) -> list[Crop]:
    """Return random squares of many scales; most of a photo's are the sharpest of three candidates."""
    width, height = image.size
    short = min(width, height)
    crops: list[Crop] = []
    for index in range(count):
        best: Crop | None = None
        for _ in range(3 if kind == "photo" else 1):
            side = int(np.exp(rng.uniform(np.log(min(SIDE, short)), np.log(short + 1))))
            left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
            box = (left, top, left + side, top + side)
            candidate = shrink(image.crop(box))
            if best is None or detail(candidate) > detail(best):
                best = candidate
            if index % 6 == 5:  # some crops are not chosen for sharpness
                break
        if best is None or is_map(best) or not is_good(best, 0.6 if index % 6 == 5 else 2.0):
            continue
        if rng.random() < 0.5:
            best = best[:, ::-1]
        if kind == "texture":
            best = np.rot90(best, int(rng.integers(0, 4)))
        crops.append(np.ascontiguousarray(best))
    return crops


def on_plain(image: Image.Image, count: int, rng: np.random.Generator) -> list[Crop]:
    """Return crops of a transparent object on a plain background: 50 to 90 % of the frame, slightly moved."""
    box = image.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    if box is None:
        return []
    image = image.crop(box)
    if min(image.size) < 100 or max(image.size) < SIDE * 0.7 or max(image.size) > 4 * min(image.size):
        return []
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / 255
    tone = float((np.asarray(image.convert("L"), dtype=np.float32) * alpha).sum() / alpha.sum())
    solid = np.asarray(image.convert("RGB"))[alpha > 0.9]
    two_tone = ((solid.max(axis=1) < 40) | (solid.min(axis=1) > 235)).mean() if len(solid) else 1.0
    if two_tone > 0.8 or solid.std() < 15:  # silhouettes and line drawings
        return []
    white = rng.random() < 0.4 and tone < 215
    shade = rng.uniform(20, 120) if tone > 140 else rng.uniform(150, 250)
    colour = np.full(3, 255.0) if white else np.clip(shade + rng.normal(0, 14, 3), 0, 255)
    fill, angle = rng.uniform(0.55, 0.85), rng.choice([0.0, 0.0, rng.uniform(0, 360)])
    crops: list[Crop] = []
    for _ in range(count):
        turned = image.convert("RGBa").rotate(angle + rng.normal(0, 3), resample=Image.Resampling.BICUBIC, expand=True)
        scale = fill * SIDE * rng.uniform(0.95, 1.05) / max(turned.size)
        size = (max(1, round(turned.width * scale)), max(1, round(turned.height * scale)))
        small = turned.resize(size, Image.Resampling.LANCZOS).convert("RGBA")
        plain = Image.new("RGB", (SIDE, SIDE), tuple(int(c) for c in colour))
        shift = rng.normal(0, 5, 2)
        corner = (int((SIDE - size[0]) / 2 + shift[0]), int((SIDE - size[1]) / 2 + shift[1]))
        plain.paste(small, corner, small)
        crop = np.asarray(plain, dtype=np.uint8)
        if is_good(crop, 1.0):
            crops.append(crop)
    return crops


def crops_of(job: Job) -> list[Crop]:
    """Return the crops of a file; none if it is broken, too small, or transparent but not an object."""
    rng = np.random.default_rng(job.seed)
    try:
        image = read_image(job)
    except (OSError, ValueError, SyntaxError, NotImplementedError):
        return []
    if min(image.size) < job.source.min_side and job.source.kind != "object":
        return []
    clear = 0.0
    if image.mode == "RGBA":
        clear = float((np.asarray(image.getchannel("A")) < 128).mean())
    if job.source.kind == "object":
        return on_plain(image, job.source.crops, rng) if clear > 0.1 else []
    if clear > 0.01:
        return []
    return cut(image.convert("RGB"), job.source.crops, job.source.kind, rng)


def drawn_crops(members: tuple[int, int], seed: int, group: int) -> list[Crop]:
    """Return the crops of a drawn group; its number chooses the drawing in turn."""
    rng = np.random.default_rng([seed, group])
    return draw_group(group, int(rng.integers(members[0], members[1] + 1)), seed)


# ---------------------------------------------------------------- script


def collect(args: argparse.Namespace) -> Iterator[tuple[str, str, list[Crop]]]:
    """Yield (package|version|kind, licence, crops) of every group."""
    entries = [Source(**entry) for entry in json.loads(args.sources.read_text())]
    rng = np.random.default_rng(args.seed)
    with Pool(args.processes) as pool:
        for source in entries:
            if not package_dir(source, args.unpacked).is_dir():
                print(f"not unpacked, left out: {source.package}")
                continue
            jobs = list_jobs(source, args.unpacked, rng)
            name = f"{source.package}|{source.version}|{source.kind}"
            for job, crops in zip(jobs, pool.imap(crops_of, jobs, chunksize=4), strict=True):
                yield name, job.licence, crops
        draw = partial(drawn_crops, (8, 24), args.seed)
        for crops in pool.imap(draw, range(args.drawn_groups), chunksize=1):
            yield "drawn||drawn", "this repository's licence", crops


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpacked", type=Path, required=True, help="folder with one folder per unpacked package")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", type=Path, default=Path(__file__).with_name("sources.json"))
    parser.add_argument("--limit", type=int, default=9000, help="largest number of crops; drops complete groups")
    parser.add_argument("--drawn-groups", type=int, default=110)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    collected = [(name, licence, crops) for name, licence, crops in collect(args) if crops]
    order = np.random.default_rng([args.seed, 1]).permutation(len(collected))
    room, chosen = args.limit, []
    for index in order:
        if len(collected[index][2]) <= room:
            room -= len(collected[index][2])
            chosen.append(int(index))
    crops = np.stack([crop for index in chosen for crop in collected[index][2]])
    groups = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(collected[i][2]) for i in chosen])
    np.save(args.out / "crops.npy", crops)
    np.save(args.out / "groups.npy", groups)
    count: Counter[str] = Counter()
    licences: dict[str, Counter[str]] = {}
    for index in chosen:
        name, licence, members = collected[index]
        count[name] += len(members)
        licences.setdefault(name, Counter())[licence] += len(members)
    table = []
    for name in sorted(count):
        package, version, kind = name.split("|")
        row = {"package": package, "version": version, "kind": kind, "crops": count[name]}
        table.append(row | {"licences": dict(licences[name])})
    (args.out / "sources.json").write_text(json.dumps(table, indent=2) + "\n")
    print(f"{len(crops)} crops in {len(chosen)} groups")


if __name__ == "__main__":
    main()
