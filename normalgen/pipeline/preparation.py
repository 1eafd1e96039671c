"""The model and the pool that a detector learns from, made if they are missing."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError, PresetError
from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.pipeline.make import Settings
from normalgen.pipeline.pool_making import PoolMaking, settled_with_remark
from normalgen.settings.preset import Preset
from normalgen.settings.presets import change

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.base import JudgingDetector
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.sources import ImageSource
    from normalgen.pool.dataset import Pool
    from normalgen.references import References

__all__ = ["Preparation", "pool_folder"]


class Preparation:
    """Finds or makes the model and the pool for some references, and fits a detector on them.

    Args:
        references: photos to make the model and the pool from.
        preset: preset of a new model and pool.
        asked: requested settings by group. An existing model or pool must have the same settings, except for the group
            "twins", which decides how twins are made, and, for a model, the group "pool".
        folder: folder of the model.
        seed: decides every draw.
        device: device of the model.
        unlabeled: more photos, most of them good: a new pool gets those that a screening keeps.
        contamination: as for `normalgen.screen`.
        judged: photos to judge, and to calibrate with; a pool's photos among them are left out of the bank.

    Attributes:
        size: width and height, in pixels, of the images that the model draws.

    Raises:
        PresetError: the model, existing or new, cannot make such twins.
    """

    def __init__(
        self,
        references: "References",
        preset: Preset,
        asked: Settings,
        folder: Path,
        *,
        seed: int,
        device: str,
        unlabeled: "ImageSource | None" = None,
        contamination: float | None = None,
        judged: "Sequence[Queries]" = (),
    ) -> None:
        from normalgen.customizing.saved_models import saved_preset

        twins = {name: value for name, value in (asked.get("twins") or {}).items() if value is not None}
        self.made_with = {name: value for name, value in asked.items() if name != "twins"}
        self.settings = change(preset, **self.made_with)
        self._twins = asdict(preset.twins) | twins
        self.references, self.folder, self.seed, self.device = references, folder, seed, device
        self.unlabeled, self.contamination, self.judged = unlabeled, contamination, judged
        saved = saved_preset(folder)
        self.size = (saved or self.settings).size
        self._pool_settings = change(saved or self.settings, pool=self.made_with.get("pool"))
        if twins:
            change(saved or self.settings, twins=self._twins).check_twins()
        self._model: NormalModel | None = None

    def model(self, watch: Watch) -> "NormalModel":
        """Return the model: a finished one, another tool's, or one customized now."""
        if self._model is None:
            self._model = self._finished() or self._customized(watch)
        return self._model

    def twin_settings(self, model: "NormalModel") -> Preset:
        """Return the model's settings, with this run's settings for twins."""
        return change(model.preset, twins=self._twins)

    def first(
        self, detector: "JudgingDetector", pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch
    ) -> "JudgingDetector | None":
        """Return what can judge at once: the detector without twins and pool, fitted on the references alone.

        It looks at images of the size that `fit` uses, so that what is cached serves both.

        Args:
            detector: an unfitted detector.
            pool: as for `fit`.
            folder: as for `fit`.
            n: as for `fit`.
            watch: as for `fit`.

        Returns:
            None if `fit` makes no model and no pool, or if nothing can judge without a model.
        """
        from normalgen.detectors.kept_fits import fit_once

        self.references = self._recorded(folder)
        without = detector.without_model()
        if without is None or not self._makes(detector, pool, folder, n, watch):
            return None
        return fit_once(without, self.references, None, size=detector.judged_size(self.size), watch=watch)

    def _recorded(self, folder: Path) -> "References":
        """Return the references in the order in which the model or the pool in `folder` was made from them."""
        from normalgen.pool.origin import in_recorded_order

        return in_recorded_order(self.references, self.folder, folder)

    def fit(
        self, detector: "JudgingDetector", pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch
    ) -> "JudgingDetector":
        """Return the detector, fitted on the references and on the model and pool that it needs.

        Args:
            detector: an unfitted detector.
            pool: added to the bank; None uses the pool in `folder`, or makes one there.
            folder: folder of the pool.
            n: images in a new pool; 0 makes none.
            watch: shows the stages.
        """
        from normalgen.detectors.kept_fits import fit_once

        self.references = self._recorded(folder)
        bank = self._unjudged(self.bank(pool, folder, n, watch), watch) if detector.uses_pool else None
        model = self.model(watch) if detector.needs_model else None
        references = self.references
        if model is not None and not references.noun_given:
            references = replace(references, noun=model.noun)
        sampling = None if model is None else model.using(self.twin_settings(model))
        return fit_once(detector.with_model(sampling), references, bank, watch=watch)

    def _makes(
        self, detector: "JudgingDetector", pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch
    ) -> bool:
        """Return whether `fit` makes a model or a pool first."""
        if detector.needs_model and self._model is None:
            self._model = self._finished()
        lacks_model = detector.needs_model and self._model is None
        return lacks_model or (detector.uses_pool and self._makes_pool(pool, folder, n, watch))

    def _finished(self) -> "NormalModel | None":
        from normalgen.customizing.saved_models import find_model, is_customized, need_made_with
        from normalgen.pool.origin import note_other_photos

        named = {"category": self.references.category, "noun": self.references.noun}
        model = find_model(self.folder, self.settings, {}, device=self.device, **named)
        if model is None or not is_customized(self.folder):
            return model
        if model.preset.name != self.settings.name:
            raise PresetError(
                f"{self.folder} was made with preset {model.preset.name}, now {self.settings.name}; "
                "choose another folder with --model"
            )
        need_made_with(
            model.preset, self.folder, {name: value for name, value in self.made_with.items() if name != "pool"}
        )
        remedy = "choose another --model to make one from these"
        note_other_photos("the model", self.folder, self.references, remedy)
        return model

    def _customized(self, watch: Watch) -> "NormalModel":
        from normalgen.customizing.dreambooth import fine_tune

        settings = settled_with_remark(self.settings, self.references, watch)
        return fine_tune(self.references, settings, self.folder, seed=self.seed, device=self.device, watch=watch)

    def bank(self, pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch) -> "Pool | None":
        """Return the pool for the bank: the given one, an existing one, or a new or resumed one; None if `n` is 0."""
        from normalgen.pool.dataset import Pool
        from normalgen.pool.generate import check_gate

        if isinstance(pool, Pool):
            return pool
        if pool is None and not n:
            return None
        if self.unlabeled is None and not self._makes_pool(pool, folder, n, watch):
            return self._existing(folder)
        check_gate(self._pool_settings)
        if self._model is None:
            self._model = self._finished()
        model = None if self._model is None else self._pool_model(watch)
        references, settings = (self._named(model), model.preset) if model else (self.references, self._pool_settings)
        given: dict[str, Any] = {"seed": self.seed, "device": self.device, "watch": watch, "model": model}
        making = PoolMaking(references, settings, self.folder, **given)
        making.screen(self.unlabeled, self.contamination, folder)
        return making.pool(folder, max(n, making.joining))

    def _unjudged(self, pool: "Pool | None", watch: Watch) -> "Pool | None":
        """Return the pool without photos that are judged, with a note; None if nothing is left."""
        from normalgen.pool.leaks import without_judged

        if pool is None:
            return pool
        left = without_judged(pool, self.judged, self.references, watch)
        if len(left) < len(pool):
            note(
                f"{len(pool) - len(left)} of {len(pool)} images of the pool are photos to judge or to calibrate with, "
                "or were made from them; they are left out of the bank"
            )
        return left if len(left) else None

    def _makes_pool(self, pool: "Pool | str | Path | None", folder: Path, n: int, watch: Watch) -> bool:
        """Return whether to make a pool in `folder`, or to fill the one that is there further."""
        from normalgen.pool.dataset import Pool
        from normalgen.pool.journal import METADATA

        if pool is not None or not n:
            return False
        if self.unlabeled is not None:
            return not Pool.is_whole(folder) or len(Pool.load(folder)) < n
        return not (folder / METADATA).is_file() or self._grows(folder, n, watch)

    def _pool_model(self, watch: Watch) -> "NormalModel":
        """Return the model with this run's settings for pools."""
        model = self.model(watch)
        return model.using(change(model.preset, pool=self.made_with.get("pool")))

    def _existing(self, folder: Path) -> "Pool":
        """Return the pool in `folder`, unchanged."""
        from normalgen.customizing.saved_models import need_made_with
        from normalgen.pool.dataset import Pool
        from normalgen.pool.journal import read_run
        from normalgen.pool.origin import note_other_photos

        pool, run = Pool.load(folder), read_run(folder)
        if run is not None:
            need_made_with(Preset.from_settings(run["preset"]), folder, self.made_with)
        remedy = "to make one from these, move it away and leave --pool out"
        note_other_photos("the pool", folder, self.references, remedy)
        note(f"added {len(pool)} images of the pool {folder} to the bank")
        return pool

    def _grows(self, folder: Path, n: int, watch: Watch) -> bool:
        """Return whether to fill the pool further: it has this run's settings and fewer than `n` whole images."""
        from normalgen.customizing.saved_models import is_customized
        from normalgen.pool.dataset import Pool
        from normalgen.pool.generate import check_pool

        if (Pool.is_whole(folder) and len(Pool.load(folder)) >= n) or not is_customized(self.folder):
            return False
        try:
            model = self._pool_model(watch)
            check_pool(folder, self._named(model), model.preset, self.seed)
        except DataError:
            return False
        return True

    def _named(self, model: "NormalModel") -> "References":
        """Return the references with the noun that the model draws."""
        return replace(self.references, noun=model.noun)


def pool_folder(given: "Pool | str | Path | None", category: str) -> Path:
    """Return the folder where the pool is, or will be made.

    Raises:
        DataError: `given` holds no pool, or a pool of another category.
    """
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import METADATA

    if isinstance(given, Pool):
        return given.folder
    folder = Path("pools") / category if given is None else Path(given)
    if not (folder / METADATA).is_file() or (given is None and not Pool.is_whole(folder)):
        if given is not None:
            raise DataError(
                f"{given} holds no pool; make one with: normalgen generate PHOTOS --out {given}, or leave --pool out"
            )
        return folder
    pool_category = Pool.load(folder).rows[0]["category"]
    if pool_category != category:
        raise DataError(f"the pool has category {pool_category!r}, the references {category!r}; choose another --pool")
    return folder
