"""Draws the contact sheet of a pool."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.images.augment import augment_each
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import to_pil
from normalgen.images.turning import Turnable, turnables
from normalgen.io.atomic import write_whole
from normalgen.io.rng import generator
from normalgen.pool.dataset import Pool, Rejected
from normalgen.pool.journal import METADATA, REPAIRED, SHEET, record_folder
from normalgen.pool.repairs import read_repairs
from normalgen.references import References
from normalgen.settings.presets import Augment, Preset
from normalgen.settings.prompts import INSTANCE_PROMPT

__all__ = ["PoolSheet", "Row", "augmented_row", "contact_sheet", "save_picture"]

TILE, GAP, CAPTION, COLUMNS = 160, 6, 26, 8
SHOWN = 3 * COLUMNS
FIRST, BETWEEN = 45, 120
"""Seconds until the first preview, and between previews."""
MODES = ("img2img", "txt2img")
EXPLAINED = {
    "txt2img": "txt2img, from noise",
    "augmented": "augmented, no diffusion",
    "photo": "screened photos",
    "repaired": "repaired photos",
}
INK, PAPER = (40, 40, 40), (255, 255, 255)

Row = tuple[str, list[Image.Image]]


def contact_sheet(title: str, rows: list[Row]) -> Image.Image:
    """Return rows of pictures under their captions, `COLUMNS` tiles wide; longer rows wrap."""
    lines = [
        (caption if start == 0 else "", tiles[start : start + COLUMNS])
        for caption, tiles in rows
        for start in _starts(tiles)
    ]
    heights = [(CAPTION if caption else 0) + (TILE + GAP if tiles else 0) for caption, tiles in lines]
    width = COLUMNS * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, 2 * CAPTION + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, fill=INK, font=ImageFont.load_default(18))
    top = CAPTION + GAP
    for (caption, tiles), height in zip(lines, heights, strict=True):
        if caption:
            draw.text((GAP, top + 4), caption, fill=INK, font=ImageFont.load_default(14))
        for column, tile in enumerate(tiles):
            at = (GAP + column * (TILE + GAP), top + (CAPTION if caption else 0))
            sheet.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS), at)
        top += height
    return sheet


def _starts(tiles: list[Image.Image]) -> range:
    return range(0, max(1, len(tiles)), COLUMNS)


class PoolSheet:
    """Draws a pool's contact sheet while it is made: references, their augmentations, and the pool or a preview.

    Args:
        folder: folder of the pool; the sheet is in the folder of its records.
        references: shown first.
        preset: gives the augmentation and the size.
        seed: seed of the pool.
    """

    def __init__(self, folder: Path, references: References, preset: Preset, seed: int) -> None:
        self.folder = folder
        self.path = record_folder(folder) / SHEET
        self.preset = preset
        self.seed = seed
        self.due = time.monotonic() + FIRST
        self.photos = turnables(references.pieces.take(range(min(SHOWN, len(references.pieces)))), preset.size)
        self.title = f"{references.category}: {len(references.images)} references, preset {preset.name}, seed {seed}"

    def write(self, model: NormalModel | None = None) -> None:
        """Draw the sheet again, with the images in the pool, or with a preview if given the model in training."""
        rows: list[Row] = [
            ("references", [to_pil(photo.photo) for photo in self.photos]),
            augmented_row(self.photos, self.preset.augment, self.seed),
            *(self._previewed(model) if model else self._pooled()),
        ]
        save_picture(contact_sheet(self.title, rows), self.path)

    def refresh(self, model: NormalModel | None = None) -> None:
        """Draw the sheet again if the last one is old; ignores disk errors."""
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + BETWEEN
            with suppress(OSError):
                self.write(model)

    def _pooled(self) -> list[Row]:
        if not (self.folder / METADATA).is_file():
            return []
        pool = Pool.load(self.folder)
        rows = []
        for mode in ("photo", "repaired", *MODES, "augmented"):
            indices = [i for i, row in enumerate(pool.rows) if row["mode"] == mode]
            if indices:
                images = list(pool.images.take(indices[:SHOWN]))
                rows.append((f"pool, {_explained(mode, self.preset)} ({len(indices)} images)", images))
        return [*rows, *self._repaired(), *_rejected_rows(pool.rejected())]

    def _repaired(self) -> list[Row]:
        """Return the row of the first repaired photos, each before and after, whatever the gate says of them."""
        repairs = read_repairs(record_folder(self.folder) / REPAIRED)
        if repairs is None or not repairs.rows:
            return []
        shown = range(min(SHOWN // 2, len(repairs.rows)))
        pairs = zip(repairs.before.take(shown), repairs.images.take(shown), strict=True)
        return [("suspicious photos before and after their repair", [image for pair in pairs for image in pair])]

    def _previewed(self, model: NormalModel) -> list[Row]:
        half, share = COLUMNS // 2, self.preset.pool.mix
        prompts = [INSTANCE_PROMPT] * half
        chosen = [self.photos[i % len(self.photos)] for i in range(half)]
        draws = [generator("preview", self.seed, i) for i in range(half)]
        starts = augment_each(chosen, self.preset.augment, draws)
        rows: dict[str, Tensor] = {}
        if share > 0:
            rows["img2img"] = model.restore(starts, prompts=prompts, strength=self.preset.pool.strength, seed=self.seed)
        if share < 1:
            rows["txt2img"] = model.sample(range(half), prompts=prompts, seed=self.seed)
        return [
            (f"preview while customizing, {_explained(mode, self.preset)}", [to_pil(image) for image in images])
            for mode, images in rows.items()
        ]


def _rejected_rows(rejected: list[Rejected]) -> list[Row]:
    """Return one row per reason, with its first few images; those that cannot be read are left out."""
    reasons = dict.fromkeys(item.reason for item in rejected)
    by_reason = {reason: [item.path for item in rejected if item.reason == reason] for reason in reasons}
    return [
        (f"rejected: {reason} ({len(paths)})", [image for path in paths[:COLUMNS] if (image := _opened(path))])
        for reason, paths in by_reason.items()
    ]


def _opened(path: Path) -> Image.Image | None:
    with suppress(DataError):
        return decode(ImageItem(path.name, str(path), path.read_bytes))
    return None


def _explained(mode: str, preset: Preset) -> str:
    return EXPLAINED.get(mode, f"img2img at strength {preset.pool.strength:g}")


def augmented_row(references: Sequence[Turnable], kind: Augment, seed: int) -> Row:
    """Return the row of `COLUMNS` augmented references, as customization sees them."""
    draws = [generator("sheet", seed, i) for i in range(COLUMNS)]
    images = augment_each([references[i % len(references)] for i in range(COLUMNS)], kind, draws)
    return f"augmented as --augment {kind} allows", [to_pil(image) for image in images]


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, completely or not at all."""
    write_whole(path, lambda partial: picture.save(partial, format="png"))
