"""Fills a pool: judges, writes and records candidates in order."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, NothingKept
from normalgen.features.open_features import open_features
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import to_pil, to_tensor
from normalgen.images.turning import Turnable
from normalgen.io.atomic import write_whole
from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.io.records import write_record
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import GATE, Ledger, image_name, image_path, numbered, record_folder
from normalgen.pool.plan import Candidate, candidate, draw_group
from normalgen.quality.gate import Gate, Verdict
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import fill

__all__ = ["PoolFilling"]


@dataclass
class PoolFilling:
    """Fills a pool with candidates.

    Attributes:
        folder: folder of the pool.
        preset: how candidates are made and judged.
        settings: everything that decides the pool, as in its `run.json`.
        names: the names of references, photos and repaired photos, for people.
        hashes: the SHA-256 of each.
        sources: references, photos and repaired photos, ready to be turned.
        ledger: the candidates judged so far.
        model: draws candidates, or the preset if diffusion draws none; None takes only candidates drawn ahead.
        drawn: folder of the candidates drawn ahead.
        photos: how many sources, after the references, are photos that join the pool as they are.
        shares: how much of each repaired photo, the last sources, was repaired, in (0, 1].
    """

    folder: Path
    preset: Preset
    settings: dict[str, Any]
    names: list[str]
    hashes: list[str]
    sources: Sequence[Turnable]
    ledger: Ledger
    model: NormalModel | Preset | None
    drawn: Path
    photos: int = 0
    shares: Sequence[float] = ()
    _gate: Gate | None = None

    def fill(self, n: int, watch: Watch, preview: Callable[[], None]) -> None:
        """Judge candidates until `n` are kept, the budget is spent or, without a model, none are left."""
        preset, ledger, limit = self.preset, self.ledger, self._limit(n)

        def wanting() -> bool:
            return len(ledger.kept) < n and ledger.judged < limit

        if preset.pool.gate and (wanting() or self._lacks_limits()):
            self._open_gate(watch)
        watch("generate", min(len(ledger.kept), n), n)
        while wanting():
            group = self._group(ledger.judged - ledger.judged % preset.pool.group)
            if not group:
                break
            for item, image in group:
                if item.index == ledger.judged and wanting():
                    self._judge(item, image)
            watch("generate", len(ledger.kept), n)
            preview()

    def refuse_empty(self, n: int) -> None:
        """Check that a pool filled for `n` images has at least one.

        Raises:
            NothingKept: the budget is spent, and the gate kept none.
        """
        if not self.ledger.kept and self.ledger.judged >= self._limit(n):
            raise NothingKept(
                f"the gate kept none of {self.ledger.judged} candidates (see {image_path(self.folder, 0, False)}); "
                "start over with --overwrite and more reference photos, more training steps, or --no-gate"
            )

    def _limit(self, n: int) -> int:
        """Return how many candidates may be made for `n` images."""
        settings = self.preset.pool
        return max(settings.group, math.ceil(n * settings.budget)) if settings.gate else n

    def _group(self, start: int) -> list[tuple[Candidate, Tensor]]:
        """Return the group of candidates from `start` on: drawn ahead, else drawn now, else empty."""
        wanted = range(max(start, self.ledger.judged), start + self.preset.pool.group)
        paths = [self.drawn / numbered(index) for index in wanted]
        images = [_read(path, self.preset.size) for path in paths]
        whole = [image for image in images if image is not None]
        if len(whole) == len(paths):
            return [
                (candidate(index, self.preset, len(self.names), self.photos, len(self.shares)), image)
                for index, image in zip(wanted, whole, strict=True)
            ]
        return self.draw(start)

    def draw(self, start: int) -> list[tuple[Candidate, Tensor]]:
        """Draw the group of candidates from `start` on; empty without a model."""
        if self.model is None:
            return []
        return draw_group(self.model, start, self.sources, self.settings["seed"], self.photos, len(self.shares))

    def _lacks_limits(self) -> bool:
        """Return whether the record of the gate's cut-offs is missing or, with a note, damaged."""
        try:
            return Pool(self.folder, ()).gate() is None
        except DataError:
            note(f"{record_folder(self.folder) / GATE} is damaged, and is made again")
            return True

    def _open_gate(self, watch: Watch) -> None:
        """Calibrate the gate, and show it the images already in the pool."""
        features = open_features(self.preset.pool.gate_features)
        references = self.sources[: len(self.sources) - self.photos - len(self.shares)]
        self._gate = Gate(references, self.preset.augment, features, seed=self.settings["seed"], watch=watch)
        write_record(record_folder(self.folder) / GATE, self._gate.settings())
        for image in Pool.load(self.folder).images if self.ledger.kept else ():
            self._gate.remember(to_tensor(image, self.preset.size))

    def _judge(self, item: Candidate, image: Tensor) -> None:
        """Judge one candidate, write its image and record the verdict."""
        verdict = self._verdict(item, image)
        kept = verdict is None or verdict.kept
        path = image_path(self.folder, item.index, kept)
        write_whole(path, lambda partial: to_pil(image).save(partial, format="png"))
        row = self._row(item) | (self._nearest(verdict) if verdict else {}) if kept else None
        judged = {"reason": verdict.reason, "numbers": verdict.numbers} if verdict else {"reason": ""}
        self.ledger.enter(item.index, row, judged)

    def _verdict(self, item: Candidate, image: Tensor) -> Verdict | None:
        """Return the gate's verdict; None without a gate, and for photos, which were screened."""
        if self._gate is not None and item.mode == "photo":
            self._gate.remember(image)
            return None
        return self._gate.judge(image) if self._gate else None

    def _row(self, item: Candidate) -> dict[str, Any]:
        settings, share = self.settings, self.shares[item.index - self.photos] if item.mode == "repaired" else 0.0
        return {
            "category": settings["category"],
            "label": 0,
            "prompt": fill(item.prompt, settings["object"]),
            "seed": settings["seed"],
            "index": item.index,
            "mode": item.mode,
            "reference": "" if item.reference is None else self.names[item.reference],
            "reference_sha256": "" if item.reference is None else self.hashes[item.reference],
            "strength": {"img2img": settings["pool.strength"], "txt2img": 1.0}.get(item.mode, 0.0),
            "preset": settings["preset"],
            "model": settings["model"],
        } | ({"repaired_share": share} if self.shares else {})

    def _nearest(self, verdict: Verdict) -> dict[str, Any]:
        nearest = verdict.nearest_pool
        return {
            "nearest_reference": self.names[verdict.nearest_reference],
            "nearest_pool": "" if nearest is None else image_name(self.ledger.kept[nearest]),
        }


def _read(path: Path, size: int) -> Tensor | None:
    """Return an image drawn ahead, (3, size, size); None if it is missing or, with a note, damaged."""
    if not path.is_file():
        return None
    try:
        image = decode(ImageItem(path.name, str(path), path.read_bytes))
        if image.size != (size, size):
            raise DataError(f"{path} has {image.size} pixels, expected {size}")
    except DataError as error:
        note(f"{error}; it is drawn again")
        path.unlink()
        return None
    return to_tensor(image, size)
