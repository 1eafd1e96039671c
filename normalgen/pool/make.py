"""Making a pool, image by image and never half-written.

On one machine the bytes depend on settings, references and index alone, so a killed run that is started again, or a
pool that grows, ends as if made at once.
"""

import importlib.metadata
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from normalgen.card import card
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError
from normalgen.files import write_json, write_whole
from normalgen.images import to_pil, to_tensor
from normalgen.pool.folder import Pool
from normalgen.pool.ledger import ASIDE, GATE, IMAGES, METADATA, REJECTED, Ledger, image_name
from normalgen.pool.plan import Candidate, draw_group
from normalgen.presets import Preset
from normalgen.prompts import fill
from normalgen.quality import Gate, Verdict
from normalgen.record import agree, differing, locked
from normalgen.references import References
from normalgen.watch import Watch, silent

__all__ = ["RUN", "check_pool", "generate_pool"]

RUN = f"{ASIDE}/run.json"
_DECIDING = ["size", "sampling_steps", "guidance", "augment", "prompts", "plain", "mix", "strength", "group", "gate"]


def generate_pool(
    model: NormalModel,
    references: References,
    n: int,
    folder: Path,
    *,
    seed: int = 0,
    watch: Watch = silent,
    preview: Callable[[], None] = lambda: None,
    overwrite: bool = False,
) -> Pool:
    """Make candidates until `n` images of the pool in `folder` are kept; those already there stay as they are.

    With the gate on (`preset.gate`) at most `preset.budget` candidates an image are made; a pool may then end smaller.

    Args:
        model: customized on these references' category; its preset says mix, strength, prompts and augmentation.
        references: the starting points of img2img.
        n: how many images the pool shall hold, at least 1.
        folder: of this pool alone.
        seed: candidate `i` draws from (seed, i).
        watch: told of the stage "generate", in kept images.
        preview: called after each group of images.
        overwrite: a pool of other settings in `folder` gives way.

    Raises:
        DataError: n below 1, a model of another category, a folder of other settings or in use; or the gate kept none.
    """
    if n < 1:
        raise DataError(f"n must be at least 1, got {n}")
    if model.category != references.category:
        raise DataError(
            f"the model was customized on {model.category!r}, the references are {references.category!r}; "
            "name the model of this category, or none to make one"
        )
    preset = model.preset
    settings = _settings(references, preset, seed) | {"model": model.digest}
    with locked(folder):
        if overwrite and differing(folder / RUN, settings):
            _clear(folder)
        agree(folder / RUN, _record(settings, model, references))
        ledger = Ledger.open(folder)
        write_whole(folder / "README.md", lambda path: _write_text(path, card(settings)))
        _fill(_Making(folder, model, references, settings, ledger), n, watch, preview)
        if not ledger.kept:
            raise DataError(
                f"the gate kept none of {ledger.judged} candidates (see {folder / REJECTED}); "
                "try, with --overwrite, a lower --strength, more reference photos, or --no-gate"
            )
        return Pool.load(folder)


class _Making:
    """What one run of `generate_pool` works with."""

    def __init__(
        self, folder: Path, model: NormalModel, references: References, settings: dict[str, Any], ledger: Ledger
    ) -> None:
        self.folder, self.model, self.references, self.settings, self.ledger = (
            folder,
            model,
            references,
            settings,
            ledger,
        )
        self.sources = references.images.pixels(model.preset.size)
        self.gate: Gate | None = None

    def open_gate(self) -> None:
        """Calibrate the gate, and tell it what is in the pool already."""
        preset = self.model.preset
        self.gate = Gate(self.sources, preset.augment, seed=self.settings["seed"])
        write_json(self.folder / GATE, self.gate.settings())
        for image in Pool.load(self.folder).images if self.ledger.kept else ():
            self.gate.remember(to_tensor(image, preset.size))

    def judge(self, each: Candidate, image: Tensor) -> None:
        """Write one candidate where it belongs, and book it."""
        verdict = self.gate.judge(image) if self.gate else None
        kept = verdict is None or verdict.kept
        path = self.folder / image_name(each.index, kept)
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
            "reference": "" if each.reference is None else self.references.images.names[each.reference],
            "strength": {"img2img": settings["strength"], "txt2img": 1.0, "augmented": 0.0}[each.mode],
            "preset": settings["preset"],
            "model": settings["model"],
        }

    def _nearest(self, verdict: Verdict) -> dict[str, Any]:
        place = verdict.nearest_pool
        return {
            "nearest_reference": self.references.images.names[verdict.nearest_reference],
            "nearest_pool": "" if place is None else image_name(self.ledger.kept[place], True),
        }


def _fill(making: _Making, n: int, watch: Watch, preview: Callable[[], None]) -> None:
    preset, ledger = making.model.preset, making.ledger
    limit = max(preset.group, math.ceil(n * preset.budget)) if preset.gate else n

    def wanting() -> bool:
        return len(ledger.kept) < n and ledger.judged < limit

    watch("generate", min(len(ledger.kept), n), n)
    if wanting() and preset.gate:
        making.open_gate()
    while wanting():
        start = ledger.judged - ledger.judged % preset.group
        for each, image in draw_group(making.model, start, making.sources, making.settings["seed"]):
            if each.index == ledger.judged and wanting():
                making.judge(each, image)
        watch("generate", len(ledger.kept), n)
        preview()


def _clear(folder: Path) -> None:
    for name in (METADATA, "README.md"):
        (folder / name).unlink(missing_ok=True)
    for name in (IMAGES, ASIDE):
        shutil.rmtree(folder / name, ignore_errors=True)


def check_pool(folder: Path, references: References, preset: Preset, seed: int) -> None:
    """Before long work: see that `folder` is free, or a pool of the same settings.

    Raises:
        DataError: it is neither.
    """
    agree(folder / RUN, {"settings": _settings(references, preset, seed)}, look=True)


def _settings(references: References, preset: Preset, seed: int) -> dict[str, Any]:
    return preset.only(_DECIDING) | references.identity() | {"seed": seed}


def _record(settings: dict[str, Any], model: NormalModel, references: References) -> dict[str, Any]:
    packages = ("normalgen", "torch", "diffusers", "datasets", "pillow")
    return {
        "settings": settings,
        "preset": model.preset.settings(),
        "device": model.device,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "references": references.manifest(),
    }


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
