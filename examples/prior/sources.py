"""Lists the files that the prior may be trained on, and decodes them."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

Image.MAX_IMAGE_PIXELS = 400_000_000  # a few of the photographs have 170 million
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tga", ".dds"}
FREE = re.compile(r"cc0(-1\.0)?|public-domain|cc-by(-sa)?(-\d\.\d)?(\+|-[a-z]{2,3})?|mit|expat|zlib|bsd-[23]-clause")
MAPS = re.compile(
    r"(?:[_.\-](?:n|s|nm|nrm|nor|norm|normals?|normalmap|spec\w*|gloss\w*|bump\w*|height\w*|disp\w*|ao|mask"
    r"|glow|rough\w*|metal(?:lic|ness)|emi\w*|lightmap|depth|local|data|parallax|h|g)\d*$)|normal|specular"
    r"|bumpmap|heightmap|lightmap|icon|logo|font|screenshot|minimap|mapshot|preview|splash|button"
    r"|cursor|skybox",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """One entry of the source list."""

    package: str
    version: str
    licence: str
    kind: str  # texture | photo | object
    root: str  # folder inside the package that holds the images
    include: list[str]
    crops: int
    upstream: str = ""  # name of `root` in the paths of the DEP-5 file
    dep5: bool = True
    exclude: list[str] = field(default_factory=list)
    max_images: int = 100_000
    min_side: int = 256
    archive: str = ""  # zip file inside the package; `root` is then a folder in the archive


@dataclass(frozen=True)
class Job:
    """One image file to crop."""

    source: Source
    file: Path  # the image, or the archive that holds it
    member: str  # name inside the archive, or ""
    licence: str
    seed: int


def copyright_rules(text: str) -> list[tuple[str, str]]:
    """Return the (glob, licence) pairs of a DEP-5 copyright file, in file order."""
    rules = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if match := re.match(r"([A-Za-z-]+):\s*(.*)$", line):
                name = match[1]
                fields[name] = match[2]
            elif name and line[:1] in " \t":
                fields[name] += "\n" + line.strip()
        licence = fields.get("License", "").partition("\n")[0].strip()
        if licence:
            rules += [(glob, licence) for glob in fields.get("Files", "").split()]
    return rules


def is_free(licence: str) -> bool:
    """Return whether `FREE` covers the licence: every part of an `and`, at least one of an `or`."""
    for part in re.split(r"\s+and\s+", licence.lower().replace(",", " ")):
        if not any(FREE.fullmatch(choice.strip()) for choice in re.split(r"\s+or\s+", part)):
            return False
    return bool(licence)


def licence_of(path: str, rules: list[tuple[str, str]]) -> str:
    """Return the licence of an upstream path: by DEP-5, the last paragraph with a matching glob decides."""
    stated = ""
    for glob, licence in rules:
        if fnmatchcase(path, glob):
            stated = licence
    return stated


def package_dir(source: Source, unpacked: Path) -> Path:
    """Return the folder of an unpacked package; for scikit-image, the samples in the installed one."""
    return Path(skimage.data.__file__).parent if source.package == "scikit-image" else unpacked / source.package


def names(source: Source, unpacked: Path) -> list[str]:
    """Return the names of all images of a source, relative to its root."""
    package = package_dir(source, unpacked)
    if source.archive:
        with zipfile.ZipFile(package / source.archive) as archive:
            prefix = source.root + "/" if source.root else ""
            files = [n.removeprefix(prefix) for n in archive.namelist() if n.startswith(prefix)]
    else:
        root = package / source.root
        files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    return sorted(n for n in files if Path(n).suffix.lower() in IMAGE_SUFFIXES)


def list_jobs(source: Source, unpacked: Path, rng: np.random.Generator) -> list[Job]:
    """Return the usable image files of a source, at most `max_images`."""
    package = package_dir(source, unpacked)
    rules: list[tuple[str, str]] = []
    if source.dep5:
        rules = copyright_rules((package / "usr/share/doc" / source.package / "copyright").read_text())
    usable: list[tuple[Path, str, str]] = []
    for name in names(source, unpacked):
        stem = Path(name).name.split(".")[0]
        wanted = any(fnmatchcase(name, glob) for glob in source.include)
        if not wanted or any(fnmatchcase(name, glob) for glob in source.exclude) or MAPS.search(stem):
            continue
        licence = licence_of(source.upstream + name, rules) if source.dep5 else source.licence
        if is_free(licence):
            inside = f"{source.root}/{name}".lstrip("/")
            location = (package / source.archive, inside) if source.archive else (package / source.root / name, "")
            usable.append((*location, licence))
    order = sorted(rng.permutation(len(usable))[: source.max_images].tolist())
    seeds = rng.integers(0, 2**31, len(usable))
    jobs = []
    for i in order:
        file, member, licence = usable[i]
        jobs.append(Job(source, file, member, licence, int(seeds[i])))
    return jobs


@cache
def open_archive(path: Path) -> zipfile.ZipFile:
    """Return an archive; each worker process keeps it open."""
    return zipfile.ZipFile(path)


def read_image(job: Job) -> Image.Image:
    """Return the decoded image, RGB or RGBA; drops the alpha of DDS textures, which is not transparency."""
    data = open_archive(job.file).read(job.member) if job.member else job.file.read_bytes()
    image = Image.open(io.BytesIO(data))
    image.load()
    clear = "A" in image.getbands() or "transparency" in image.info
    return image.convert("RGBA" if clear and image.format != "DDS" else "RGB")
