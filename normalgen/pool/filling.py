"""A pool in the making: candidates in order, each judged, written and booked."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.errors import NothingKept
from normalgen.images.images import to_pil, to_tensor
from normalgen.io.atomic import write_json, write_whole
from normalgen.io.progress import Watch
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import GATE, Ledger, image_name, image_path, numbered, record_folder
from normalgen.pool.plan import Candidate, candidate, draw_group
from normalgen.quality.gate import Gate, Verdict
from normalgen.settings.presets import Preset
from normalgen.settings.prompts import fill

__all__ = ["PoolFilling"]


@dataclass
class PoolFilling:
    """What filling a pool works with.

    Attributes:
        folder: the pool's.
        preset: how candidates are made and judged.
        settings: all that decides the pool, as in its `run.json`.
        names: the references' names.
        sources: the references, uint8 (k, 3, S, S).
        ledger: what was judged so far.
        model: draws candidates, or the preset if it draws none; None takes only those that were drawn ahead.
        drawn: where those lie.
    """

    folder: Path
    preset: Preset
    settings: dict[str, Any]
    names: list[str]
    sources: Tensor
    ledger: Ledger
    model: NormalModel | Preset | None
    drawn: Path
    _gate: Gate | None = None

    def fill(self, n: int, watch: Watch, preview: Callable[[], None]) -> None:
        """Judge candidates until `n` are kept, the budget is spent, or, without a model, none is left."""
        preset, ledger, limit = self.preset, self.ledger, self._limit(n)

        def wanting() -> bool:
            return len(ledger.kept) < n and ledger.judged < limit

        if wanting() and preset.pool.gate:
            self._open_gate(watch)
        watch("generate", min(len(ledger.kept), n), n)
        while wanting():
            group = self._group(ledger.judged - ledger.judged % preset.pool.group)
            if not group:
                break
            for each, image in group:
                if each.index == ledger.judged and wanting():
                    self._judge(each, image)
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
                "try, with --overwrite, more reference photos, more training steps, or --no-gate"
            )

    def _limit(self, n: int) -> int:
        """How many candidates may be made for `n` images."""
        settings = self.preset.pool
        return max(settings.group, math.ceil(n * settings.budget)) if settings.gate else n

    def _group(self, start: int) -> list[tuple[Candidate, Tensor]]:
        """The candidates from `start` on, one group: as drawn ahead, else drawn now, else none."""
        wanted = range(max(start, self.ledger.judged), start + self.preset.pool.group)
        paths = [self.drawn / numbered(index) for index in wanted]
        if all(path.is_file() for path in paths):
            return [
                (candidate(index, self.preset, len(self.names)), _read(path, self.preset.size))
                for index, path in zip(wanted, paths, strict=True)
            ]
        return [] if self.model is None else draw_group(self.model, start, self.sources, self.settings["seed"])

    def _open_gate(self, watch: Watch) -> None:
        """Calibrate the gate, and tell it what is in the pool already."""
        self._gate = Gate(self.sources, self.preset.augment, seed=self.settings["seed"], watch=watch)
        write_json(record_folder(self.folder) / GATE, self._gate.settings())
        for image in Pool.load(self.folder).images if self.ledger.kept else ():
            self._gate.remember(to_tensor(image, self.preset.size))

    def _judge(self, each: Candidate, image: Tensor) -> None:
        """Write one candidate where it belongs, and book it."""
        verdict = self._gate.judge(image) if self._gate else None
        kept = verdict is None or verdict.kept
        path = image_path(self.folder, each.index, kept)
        write_whole(path, lambda partial: to_pil(image).save(partial, format="png"))
        row = self._row(each) | (self._nearest(verdict) if verdict else {}) if kept else None
        judged = {"reason": verdict.reason, "numbers": verdict.numbers} if verdict else {"reason": ""}
        self.ledger.enter(each.index, row, judged)

    def _row(self, each: Candidate) -> dict[str, Any]:
        settings = self.settings
        return {
            "category": settings["category"],
            "label": 0,
            "prompt": fill(each.prompt, settings["object"]),
            "seed": settings["seed"],
            "index": each.index,
            "mode": each.mode,
            "reference": "" if each.reference is None else self.names[each.reference],
            "strength": {"img2img": settings["pool.strength"], "txt2img": 1.0, "augmented": 0.0}[each.mode],
            "preset": settings["preset"],
            "model": settings["model"],
        }

    def _nearest(self, verdict: Verdict) -> dict[str, Any]:
        place = verdict.nearest_pool
        return {
            "nearest_reference": self.names[verdict.nearest_reference],
            "nearest_pool": "" if place is None else image_name(self.ledger.kept[place]),
        }


def _read(path: Path, size: int) -> Tensor:
    with Image.open(path) as image:
        return to_tensor(image.convert("RGB"), size)
