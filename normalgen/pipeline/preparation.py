"""What a detector learns from: the model and the pool of its references, made where they are missing."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError, PresetError
from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.io.run_folder import read_record
from normalgen.pipeline.make import PoolMaking, Settings, settled_with_remark
from normalgen.settings.preset import Preset
from normalgen.settings.presets import change

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.references import References

__all__ = ["HIGHEST_RATE", "Preparation", "calibration_photos", "pool_folder"]

HIGHEST_RATE = 0.5


class Preparation:
    """The model and the pool of some references.

    Args:
        references: what they are made from.
        preset: of what is made.
        asked: settings by group that were named. What is there must have been made with those of training; those of
            twins decide how twins are made.
        folder: of the model.
        seed: decides every draw.
        device: of the model.

    Raises:
        PresetError: the model that is there, or will be made, cannot make such twins.
    """

    def __init__(
        self, references: "References", preset: Preset, asked: Settings, folder: Path, *, seed: int, device: str
    ) -> None:
        from normalgen.customizing.saved_models import saved_preset

        twins = {name: value for name, value in (asked.get("twins") or {}).items() if value is not None}
        self.made_with = {name: value for name, value in asked.items() if name != "twins"}
        self.settings = change(preset, **self.made_with)
        self._twins = asdict(preset.twins) | twins
        self.references, self.folder, self.seed, self.device = references, folder, seed, device
        saved = saved_preset(folder)
        if twins:
            change(saved or self.settings, twins=self._twins).check_twins()
        self._model: NormalModel | None = None

    def model(self, watch: Watch) -> "NormalModel":
        """The model: finished, somebody else's, or customized now."""
        if self._model is None:
            self._model = self._found() or self._customized(watch)
        return self._model

    def twin_settings(self, model: "NormalModel") -> Preset:
        """The model's settings with those of this run's twins."""
        return change(model.preset, twins=self._twins)

    def fit(
        self, detector: "OneToNormal", pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch
    ) -> "OneToNormal":
        """The detector, fitted on the references and what its branches need besides.

        Args:
            detector: unfitted.
            pool: joins the bank; None makes one in `folder`, or takes the one that is there.
            folder: of the pool.
            n: images in a pool that is made; 0 makes none.
            watch: shows the stages.
        """
        bank = self.bank(pool, folder, n, watch) if "n" in detector.branches else None
        model = self.model(watch) if detector.needs_model else None
        references = self.references
        if model is not None and not references.noun_given:
            references = replace(references, noun=model.noun)
        sampling = None if model is None else model.using(self.twin_settings(model))
        return replace(detector, model=sampling).fit(references, bank, watch=watch)

    def _found(self) -> "NormalModel | None":
        from normalgen.customizing.saved_models import find_model, is_customized, need_made_with
        from normalgen.pool.origin import note_other_photos

        named = {"category": self.references.category, "noun": self.references.noun}
        model = find_model(self.folder, self.settings, {}, device=self.device, **named)
        if model is None or not is_customized(self.folder):
            return model
        if model.preset.name != self.settings.name:
            raise PresetError(
                f"{self.folder} was made with preset {model.preset.name}, now {self.settings.name}; "
                "name another folder with --model"
            )
        need_made_with(model.preset, self.folder, self.made_with)
        remedy = "name another --model to have one made from these"
        note_other_photos("the model", self.folder, self.references, remedy)
        return model

    def _customized(self, watch: Watch) -> "NormalModel":
        from normalgen.customizing.dreambooth import fine_tune

        settings = settled_with_remark(self.settings, self.references, watch)
        return fine_tune(self.references, settings, self.folder, seed=self.seed, device=self.device, watch=watch)

    def bank(self, pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch) -> "Pool | None":
        """The pool that joins the bank: given, found, or made and resumed; None for `n` 0."""
        from normalgen.pool.dataset import Pool
        from normalgen.pool.journal import METADATA

        if isinstance(pool, Pool):
            return pool
        if pool is None and not n:
            return None
        if pool is not None or ((folder / METADATA).is_file() and not self._grows(folder, n, watch)):
            return self._taken(folder)
        model = self.model(watch)
        given: dict[str, Any] = {"seed": self.seed, "device": self.device, "watch": watch, "model": model}
        return PoolMaking(self._named(model), model.preset, self.folder, **given).pool(folder, n)

    def _taken(self, folder: Path) -> "Pool":
        """The pool in `folder` as it is."""
        from normalgen.customizing.saved_models import need_made_with
        from normalgen.pool.dataset import Pool
        from normalgen.pool.journal import RUN, record_folder
        from normalgen.pool.origin import note_other_photos

        pool, run = Pool.load(folder), read_record(record_folder(folder) / RUN)
        if run is not None:
            need_made_with(Preset.from_settings(run["preset"]), folder, self.made_with)
        remedy = "move it away, and leave --pool out, to have one made from these"
        note_other_photos("the pool", folder, self.references, remedy)
        note(f"{len(pool)} images of the pool {folder} join the bank")
        return pool

    def _grows(self, folder: Path, n: int, watch: Watch) -> bool:
        """Whether the pool has too few images and this run's settings: it was stopped, or shall grow."""
        from normalgen.customizing.saved_models import is_customized
        from normalgen.pool.dataset import Pool
        from normalgen.pool.generate import check_pool

        if len(Pool.load(folder)) >= n or not is_customized(self.folder):
            return False
        try:
            model = self.model(watch)
            check_pool(folder, self._named(model), model.preset, self.seed)
        except DataError:
            return False
        return True

    def _named(self, model: "NormalModel") -> "References":
        """The references under the noun that the model draws."""
        return replace(self.references, noun=model.noun)


def pool_folder(given: "Pool | str | Path | None", category: str) -> Path:
    """Where the pool is, or will be made.

    Raises:
        DataError: `given` holds none, or one of another category.
    """
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import METADATA

    if isinstance(given, Pool):
        return given.folder
    folder = Path("pools") / category if given is None else Path(given)
    if not (folder / METADATA).is_file():
        if given is not None:
            raise DataError(
                f"{given} holds no pool; make one with: normalgen generate PHOTOS --out {given}, or leave --pool out"
            )
        return folder
    found = Pool.load(folder).rows[0]["category"]
    if found != category:
        raise DataError(f"the pool is of {found!r}, the references are of {category!r}")
    return folder


def calibration_photos(folder: str | Path | None, queries: "Queries", made: list[Path], rate: float) -> "Images | None":
    """The photos in `folder` that no one has used: no references, no queries, no sources of a model or pool.

    Args:
        folder: of good photos; None gives None.
        queries: photos to be judged; they know which photos are references.
        made: folders of models and pools.
        rate: that the photos shall support.

    Raises:
        DataError: too few for the rate.
    """
    from normalgen.images.images import Images
    from normalgen.pool.origin import origin_of

    if folder is None:
        return None
    try:
        photos = Images.from_folder(Path(folder)).cropped(queries.images.crop)
    except DataError as error:
        raise DataError(f"--calibrate: {error}") from error
    sources = [origin.hashes for path in made if (origin := origin_of(path))]
    seen = {*queries.known, *queries.hashes()}.union(*sources)
    fresh = [row for row, digest in enumerate(photos.hashes()) if digest not in seen]
    if len(fresh) < len(photos):
        used = len(photos) - len(fresh)
        note(f"{used} of {folder}'s photos are references, of model or pool, or to be judged; they do not count")
    least = math.ceil(1 / rate - 1e-9) - 1
    if len(fresh) < least:
        possible = math.ceil(1000 / (len(fresh) + 1)) / 1000
        other = f"a --rate of at least {possible:g}, or " if possible <= HIGHEST_RATE else ""
        raise DataError(
            f"--calibrate {folder}: {len(fresh)} photos that are not used otherwise cannot support --rate {rate:g}; "
            f"give {least} in all, or {other}leave --calibrate out"
        )
    return photos.take(fresh)
