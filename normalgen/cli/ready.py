"""What `normalgen detect` needs before it can judge: a model, a pool, photos to calibrate with."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.cli import inputs
from normalgen.cli.job import Job, given_model, saved_preset, see_made, settle
from normalgen.cli.photos import made_from, tell_of_others
from normalgen.cli.show import note
from normalgen.errors import DataError, PresetError
from normalgen.io.progress import Watch
from normalgen.io.run_folder import read_record
from normalgen.settings.presets import Preset, change

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.conformal import Threshold
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.detectors.one_to_normal.triplet import Choice, Fusion
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.references import References

HIGHEST_RATE = 0.5


class Preparation:
    """The model and the pool, made on the way where they are missing.

    Args:
        references: what they are made from.
        settings: how.
        asked: settings of customization that were named, which what is there must have been made with.
        seed: decides every draw.
        device: of the model.
        folder: of the model.
        twins: settings of twins that were named.

    Raises:
        PresetError: the model that is there, or shall be made, cannot make such twins.
    """

    def __init__(
        self,
        references: "References",
        settings: Preset,
        asked: dict[str, Any],
        seed: int,
        device: str,
        folder: Path,
        twins: dict[str, Any] | None = None,
    ) -> None:
        saved = saved_preset(folder)
        changed = change(saved or settings, twins=twins)
        self.references, self.settings, self.asked = references, settings if saved else changed, asked
        self._twins = {name: value for name, value in (twins or {}).items() if value is not None}
        self.seed, self.device, self.folder = seed, device, folder
        self.opened: NormalModel | None = None

    def model(self, watch: Watch) -> "NormalModel":
        """The model, finished, others', or customized now."""
        from normalgen.customize.dreambooth import customize, is_customized

        if self.opened is not None:
            return self.opened
        finished = is_customized(self.folder)
        found = given_model(self.folder, self.settings, self.references, self.device, {})
        if found is not None and finished:
            if found.preset.name != self.settings.name:
                raise PresetError(
                    f"{self.folder} was made with preset {found.preset.name}, now {self.settings.name}; "
                    "name another folder with --model"
                )
            see_made(found.preset, self.folder, self.asked)
            tell_of_others(
                "the model", self.folder, self.references, "name another --model to have one made from these"
            )
        if found is None:
            settings = settle(self.settings, self.references)
            found = customize(self.references, settings, self.folder, seed=self.seed, device=self.device, watch=watch)
        self.opened = found
        return found

    def twins(self, model: "NormalModel") -> Preset:
        """The model's preset with the twins' settings of this run."""
        return change(model.preset, twins=asdict(self.settings.twins) | self._twins)

    def _named(self, model: "NormalModel") -> "References":
        """The references under the noun that the model draws."""
        return replace(self.references, noun=model.noun)

    def fit(self, detector: "OneToNormal", bank: "Pool | None", watch: Watch, *, renamed: bool) -> None:
        """Fit `detector` on the references, and on what its branches need besides.

        The references take the noun of a finished model, unless they were `renamed`.
        """
        model = self.model(watch) if "p" in detector.branches else None
        watch("learn normal", 0, 1)
        named = self._named(model) if model and not renamed else self.references
        detector.model = model.using(self.twins(model)) if model else None
        detector.fit(named, bank)
        watch("learn normal", 1, 1)

    def given_pool(self, folder: Path) -> "Pool":
        """The pool in `folder` as it is."""
        from normalgen.pool.dataset import Pool
        from normalgen.pool.journal import RUN, record_folder

        found, run = Pool.load(folder), read_record(record_folder(folder) / RUN)
        if run is not None:
            see_made(Preset.from_settings(run["preset"]), folder, self.asked)
        tell_of_others(
            "the pool", folder, self.references, "move it away, and leave --pool out, to have one made from these"
        )
        note(f"{len(found)} images of the pool {folder} join the bank")
        return found

    def pool(self, folder: Path, n: int, watch: Watch) -> "Pool | None":
        """The pool in `folder`, made where it is missing, and gone on with where it was left; None for `n` 0."""
        from normalgen.pool.journal import METADATA

        if not n:
            return None
        if (folder / METADATA).is_file() and not self._goes_on(folder, n, watch):
            return self.given_pool(folder)
        model = self.model(watch)
        return Job(self._named(model), model.preset, folder, self.seed, overwrite=False).run(n, model, None, watch)

    def _goes_on(self, folder: Path, n: int, watch: Watch) -> bool:
        """Whether a pool has too few images, and this very run's settings: it was stopped, or is to grow."""
        from normalgen.customize.dreambooth import is_customized
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


def open_detector(
    preset: str,
    features: str,
    branches: str,
    fusion: "Fusion | None",
    text: str,
    choice: "Choice",
    seed: int,
    device: str,
) -> "OneToNormal":
    """The detector that the options name; what they leave open, the preset decides.

    Raises:
        PresetError: options that cannot work.
    """
    from normalgen.detectors.one_to_normal.detector import OneToNormal

    paper = preset == "paper"
    detector = OneToNormal(
        features=features or ("embedded" if preset == "tiny" else "clip"),
        branches=tuple(part.strip() for part in branches.split(",") if part.strip()),
        fusion=fusion or ("paper" if paper else "calibrated"),
        choice=choice,
        bank=30 if paper else 0,
        text=text,
        seed=seed,
        device=device,
        cache=inputs.cache("twins"),
    )
    detector.check()
    return detector


def pool_folder(given: Path | None, category: str) -> Path:
    """Where the pool is or shall be.

    Raises:
        DataError: `given` holds none, or one of another category.
    """
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import METADATA

    folder = given or Path("pools") / category
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


def unmeasured(queries: "Queries", references: "References") -> "Queries":
    """The photos to be judged; the labels of those that are references do not count."""
    return queries.unmeasured(references.images.hashes()) if queries.labelled else queries


def unused_photos(
    folder: Path, references: "References", queries: "Queries", made: list[Path], rate: float
) -> "Images":
    """The photos in `folder` that are no references, no queries, and none that what lies in `made` was made from.

    Raises:
        DataError: too few for the rate.
    """
    from normalgen.images.images import Images

    try:
        photos = Images.from_folder(folder).cropped(references.images.crop)
    except DataError as error:
        raise DataError(f"--calibrate: {error}") from error
    sources = [found.hashes for each in made if (found := made_from(each))]
    seen = {*references.images.hashes(), *queries.hashes()}.union(*sources)
    fresh = [place for place, digest in enumerate(photos.hashes()) if digest not in seen]
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


def open_threshold(detector: "OneToNormal", unused: "Images | None", rate: float) -> "Threshold":
    """From photos that were not used; or approximate, from left-out references."""
    from normalgen.detectors.conformal import Threshold

    if unused is None:
        return Threshold(detector.left_out, rate, "approximate")
    return Threshold(detector.predict(unused).image_scores, rate, "calibrated")
