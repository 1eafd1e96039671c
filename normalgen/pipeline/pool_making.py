"""The making of one pool: screens unlabeled photos, customizes a model if there is none, fills the pool."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.settings.preset import Preset

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.pipeline.screening import ScreenedPhotos
    from normalgen.pool.contact_sheet import PoolSheet
    from normalgen.pool.dataset import Pool
    from normalgen.pool.workers import Shard
    from normalgen.references import References

__all__ = ["PoolMaking", "check_unlabeled", "settled_with_remark"]


class PoolMaking:
    """Makes a pool, and first the model if there is none.

    Args:
        references: the k photos.
        settings: settings of the model and the pool.
        folder: folder of the model.
        seed: decides every draw.
        device: the torch device.
        watch: receives the progress of each stage.
        overwrite: replace a model and a pool that have other settings.
        model: a finished model; None customizes one in `folder` if diffusion draws any image.
    """

    def __init__(
        self,
        references: "References",
        settings: Preset,
        folder: Path,
        *,
        seed: int,
        device: str,
        watch: Watch,
        overwrite: bool = False,
        model: "NormalModel | None" = None,
    ) -> None:
        self.references, self.folder = references, folder
        self.settings = settled_with_remark(settings, references, watch)
        self.seed, self.device, self.watch, self.overwrite, self.ready = seed, device, watch, overwrite, model
        self._options: dict[str, Any] = {"seed": seed, "watch": watch, "overwrite": overwrite}
        self._photos: Images | None = None
        self._repairable: ScreenedPhotos | None = None

    def screen(
        self,
        unlabeled: "ImageSource | None",
        contamination: float | None,
        out: Path,
        *,
        repair: bool = False,
        wait: bool = False,
    ) -> None:
        """Screen unlabeled photos, unless there are none: those that are kept join the pool in `out`.

        Args:
            unlabeled: as for `normalgen.pipeline.screening.screen`.
            contamination: as `unlabeled`.
            out: folder of the pool; the screening is among its records.
            repair: whether suspicious photos are repaired, and join it, too.
            wait: whether to wait for another process that screens for the same pool.

        Raises:
            DataError, PresetError: as `normalgen.pipeline.screening.screen`, and as `pool`.
        """
        if unlabeled is None:
            return
        from normalgen.io.paths import remove_if_empty
        from normalgen.io.run_folder import locked
        from normalgen.pipeline.screening import ScreenSettings, screen_into, screening_key, unlabeled_photos
        from normalgen.pool.generate import check_gate, check_pool
        from normalgen.pool.journal import RUN, SCREENING, record_folder
        from normalgen.pool.origin import need_photos
        from normalgen.report.screening_files import need_same_screening

        photos, records = unlabeled_photos(unlabeled, self.references), record_folder(out)
        features = self.settings.pool.gate_features
        settings = ScreenSettings(contamination, features, self.seed, self.device)
        check_gate(self.settings)
        if not (records / RUN).is_file():
            check_pool(out, self.references, self.settings, self.seed)
        elif not self.overwrite:
            need_photos(out)
            need_same_screening(records / SCREENING, screening_key(photos, self.references, settings), out)
        new = not records.exists()
        try:
            with locked(records, wait=wait, of=out):
                found = screen_into(records / SCREENING, photos, self.references, settings, self.watch)
        except BaseException:
            if new:
                remove_if_empty(records)
            raise
        for sentence in found.sentences:
            note(sentence)
        self._photos = found.kept
        self._repairable = found if repair else None

    @property
    def joining(self) -> int:
        """How many screened photos a detector's bank should hold: all, but at most 256."""
        from normalgen.quality.coverage_order import MOST

        return 0 if self._photos is None else min(len(self._photos), MOST)

    def pool(self, out: Path, n: int) -> "Pool":
        """Return the pool in `out`, filled to `n` images."""
        from normalgen.pool.generate import fill_pool

        sheet = self._sheet(out)
        model = self._model(sheet.refresh, wait=False)
        joining = self._joining(model, out, wait=False)
        if self._photos is not None and n < len(self._photos):
            note(f"{n} of {len(self._photos)} kept photos join the pool, those that add most; a larger -n takes more")
        pool = fill_pool(model, self.references, n, out, preview=sheet.refresh, **joining, **self._options)
        sheet.write()
        return pool

    def shard(self, out: Path, n: int, shard: "Shard") -> "Pool | None":
        """Return the pool in `out` after this worker's share of `n` images; None while other workers are drawing."""
        from normalgen.pool.generate import draw_shard

        sheet = self._sheet(out)
        model = self._model(sheet.refresh, wait=True)
        joining = self._joining(model, out, wait=True)
        pool = draw_shard(model, self.references, n, out, shard, **joining, **self._options)
        if pool is not None:
            sheet.write()
        return pool

    def _joining(self, model: "NormalModel | Preset", out: Path, *, wait: bool) -> "dict[str, Any]":
        """Return the photos that join the pool in `out`, and those that are repaired for it."""
        from normalgen.io.run_folder import locked
        from normalgen.pipeline.repairing import repaired_into
        from normalgen.pool.journal import REPAIRED, record_folder

        if self._repairable is None or isinstance(model, Preset):
            return {"photos": self._photos}
        options: dict[str, Any] = {"seed": self.seed, "device": self.device, "watch": self.watch}
        with locked(record_folder(out), wait=wait, of=out):
            repairs = repaired_into(record_folder(out) / REPAIRED, self._repairable, self.references, model, **options)
        return {"photos": self._photos, "repaired": repairs if repairs.rows else None}

    def _sheet(self, out: Path) -> "PoolSheet":
        """Return the contact sheet of the pool; raises if `out` is not free for it."""
        from normalgen.pool.contact_sheet import PoolSheet
        from normalgen.pool.generate import check_gate, check_pool
        from normalgen.pool.journal import RUN, record_folder

        check_gate(self.settings)
        if not self.overwrite or not (record_folder(out) / RUN).is_file():
            check_pool(out, self.references, self.settings, self.seed, self._photos)
        return PoolSheet(out, self.references, self.settings, self.seed)

    def _model(self, preview: Any, *, wait: bool) -> "NormalModel | Preset":
        """Return the model, customized if necessary; the settings themselves if diffusion draws no image."""
        from normalgen.customizing.dreambooth import fine_tune

        if self.ready is not None or not (self.settings.draws or self._repairable):
            return self.ready or self.settings
        return fine_tune(
            self.references,
            self.settings,
            self.folder,
            seed=self.seed,
            device=self.device,
            watch=self.watch,
            preview=preview,
            overwrite=self.overwrite,
            wait=wait,
        )


def check_unlabeled(
    unlabeled: "ImageSource | None", contamination: float | None, *, makes_pool: bool = True, repair: bool = False
) -> None:
    """Check that a run uses unlabeled photos, `contamination` and `repair`, if they are given.

    Raises:
        DataError: there is a contamination or repair without photos, or the run makes no pool.
    """
    if repair and unlabeled is None:
        raise DataError("--repair is for suspicious photos among --unlabeled ones; name their folder, too")
    if contamination is not None and unlabeled is None:
        raise DataError("--contamination is the share of --unlabeled photos to leave out; name their folder, too")
    if unlabeled is not None and not makes_pool:
        raise DataError(
            "--unlabeled adds photos to the pool that a run makes, but this run makes none; leave --detector and "
            "--pool out, with -n at least 1 and n among the --branches, or leave --unlabeled out"
        )


def settled_with_remark(settings: Preset, references: "References", watch: Watch) -> Preset:
    """Return the settings with the augmentation that suits the references; remarks if that turns them."""
    from normalgen.customizing.auto_augment import settled

    chosen = settled(settings, references, watch)
    if chosen.augment == "turned" and chosen is not settings:
        note("the photos show parts at any angle, so augmentation turns them (--augment safe would only tilt them)")
    return chosen
