"""The tuning sets: how each is drawn, and its four kinds of defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scene import Rng
from scipy import ndimage

from tuning.parts import blister, connector, flange
from tuning.surface import Flaw, Surface, photograph
from tuning.textures import Cuts, cloth

Photo = NDArray[np.uint8]
Draw = Callable[[Rng, Flaw | None], Surface]
PACKAGE = "mypaint-data-extras"
BACKGROUNDS = Path(PACKAGE) / "usr/share/mypaint/backgrounds"


@dataclass(frozen=True)
class TuningSet:
    """One set.

    Attributes:
        name: of its folder.
        draw: draws a surface, or cuts it from a texture.
        kinds: for each kind of defect, the amount (0 to 1) of the faintest and of the clearest.
        swing: deviation of the light's direction, in radians.
        file: texture in a Debian package, below the folder of unpacked packages.
    """

    name: str
    draw: Draw | Cuts
    kinds: dict[str, tuple[float, float]]
    swing: float = 0.25
    file: Path | None = None

    def photo(self, split: str, index: int, flaw: Flaw | None = None) -> Photo:
        """Return photo `index` of a split ("train", "good" or a kind); only the flaw depends on `flaw`."""
        m = np.random.default_rng([crc32(self.name.encode()), crc32(split.encode()), index])
        surface = self.draw(m, flaw, split != "train") if isinstance(self.draw, Cuts) else self.draw(m, flaw)
        return photograph(surface, m, swing=self.swing)

    def defective(self, kind: str, index: int, count: int) -> tuple[Photo, Photo]:
        """Return the photo of a defect, clearer with the index, and its mask (0 or 255): where the flaw changed it."""
        least, most = self.kinds[kind]
        amount = least + (most - least) * (index + 0.5) / count
        draws = [crc32(self.name.encode()), crc32(kind.encode()), index]
        for again in range(20):
            image = self.photo(kind, index, Flaw(kind, amount, np.random.default_rng([*draws, again, 1])))
            mask = changed(self.photo(kind, index), image)
            if mask.sum() >= 20:
                return image, (mask * 255).astype(np.uint8)
        raise RuntimeError(f"{self.name}: {kind} {index} changes fewer than 20 pixels")


def changed(before: Photo, after: Photo, least: int = 8) -> NDArray[np.bool_]:
    """Return where two photos differ by `least` levels, without gaps of a few pixels."""
    differs = np.abs(before.astype(int) - after).max(-1) >= least
    closed = ndimage.binary_closing(np.pad(differs, 4), iterations=3)[4:-4, 4:-4]
    return np.asarray(ndimage.binary_opening(closed) | differs)


def tuning_sets(unpacked: Path) -> list[TuningSet]:
    """Return all sets; `unpacked` holds one folder per Debian package."""

    def packaged(name: str, file: str, kinds: dict[str, tuple[float, float]], side: float, relief: float) -> TuningSet:
        at = unpacked / BACKGROUNDS / file
        return TuningSet(name, Cuts(at, sides=(side * 0.8, side), relief=relief), kinds, file=at)

    faint, clear, strong = (0.1, 1.0), (0.35, 1.3), (0.7, 2.0)
    brick = Cuts("brick", (0.95, 0.6, 0.5), (170, 215), 5)
    grass = Cuts("grass", (0.75, 0.82, 0.6))
    gravel = Cuts("gravel", (0.9, 0.88, 0.85))
    return [
        TuningSet("connector", connector, {"bent": clear, "short": clear, "scuff": clear, "graft": faint}),
        TuningSet("flange", flange, {"clogged": clear, "nick": faint, "corrosion": faint, "graft": faint}),
        TuningSet("blister", blister, {"broken": faint, "faded": clear, "wire": faint, "graft": faint}),
        TuningSet("cloth", cloth, {"pull": clear, "soak": clear, "tear": clear, "graft": faint}),
        TuningSet("brick", brick, {"pull": clear, "soak": clear, "lump": clear, "graft": faint}),
        TuningSet("grass", grass, {"smear": strong, "wire": strong, "lump": strong, "graft": strong}),
        TuningSet("gravel", gravel, {"smear": clear, "soak": strong, "wire": strong, "graft": clear}),
        packaged(
            "cork", "ramon/HR_Cork.png", {"lump": clear, "tear": faint, "smear": clear, "graft": faint}, 172, 0.01
        ),
        packaged(
            "hide",
            "mrmamurk/mamurk_f_1.png",
            {"crease": faint, "tear": faint, "soak": faint, "graft": faint},
            300,
            0.01,
        ),
        packaged(
            "paper",
            "ramon/HR_DecoPaper.png",
            {"crease": clear, "wire": clear, "smear": faint, "graft": faint},
            172,
            0.004,
        ),
    ]
