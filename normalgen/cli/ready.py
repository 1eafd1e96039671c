"""What `normalgen detect` needs before it can judge: a model, a pool, photos to calibrate with."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.cli import inputs
from normalgen.cli.job import Job, see_trained, settle
from normalgen.cli.show import note
from normalgen.errors import DataError, PresetError
from normalgen.presets import Preset

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.images import Images
    from normalgen.one_to_normal import OneToNormal
    from normalgen.pool import Pool
    from normalgen.references import References
    from normalgen.threshold import Threshold
    from normalgen.triplet import Choice, Fusion


class Making:
    """The model and the pool, made on the way where they are missing; `trained` are settings of customization that were
    asked for by name, which a finished model must be of.
    """

    def __init__(
        self,
        references: "References",
        settings: Preset,
        trained: dict[str, Any],
        seed: int,
        device: str,
        model: Path,
    ) -> None:
        self.references, self.settings, self.seed, self.device, self.folder = references, settings, seed, device, model
        self.trained = trained

    def model(self, watch: Any) -> "NormalModel":
        from normalgen.customize import customize, is_customized
        from normalgen.diffusion.model import NormalModel

        if is_customized(self.folder):
            found = NormalModel.load(self.folder, device=self.device)
            if found.preset.name != self.settings.name:
                raise PresetError(
                    f"{self.folder} was made with preset {found.preset.name}, now {self.settings.name}; "
                    "name another folder with --model"
                )
            see_trained(found, self.folder, self.trained)
            return found
        settings = settle(self.settings, self.references)
        return customize(self.references, settings, self.folder, seed=self.seed, device=self.device, watch=watch)

    def twins(self, model: "NormalModel") -> Preset:
        """The model's preset with the twins' settings of this run."""
        from normalgen.presets import change

        names = ("twin_prompts", "twin_strength", "twin_steps")
        return change(model.preset, **{name: getattr(self.settings, name) for name in names})

    def fit(self, detector: "OneToNormal", pool: Path, n: int, watch: Any, *, renamed: bool) -> None:
        """Fit `detector` on the references, and on what its branches need besides, made where it is missing.

        The references take the noun of a finished model, unless they were `renamed`.
        """
        model = self.model(watch) if "p" in detector.branches else None
        bank = self.pool(pool, n, watch) if "n" in detector.branches else None
        watch("learn normal", 0, 1)
        named = replace(self.references, noun=model.noun) if model and not renamed else self.references
        detector.fit(named, bank, model.using(self.twins(model)) if model else None)
        watch("learn normal", 1, 1)

    def pool(self, folder: Path, n: int, watch: Any) -> "Pool | None":
        """The pool in `folder`, made with `n` images if there is none; None for n 0."""
        from normalgen.pool import METADATA, Pool

        if (folder / METADATA).is_file():
            found = Pool.load(folder)
            note(f"{len(found)} images of the pool {folder} join the bank")
            return found
        if not n:
            return None
        model = self.model(watch)
        job = Job(self.references, model.preset, folder, self.seed, overwrite=False)
        return job.run(n, model, None, watch)


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
    from normalgen.one_to_normal import OneToNormal

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
    from normalgen.pool import METADATA, Pool

    folder = given or Path("pools") / category
    if not (folder / METADATA).is_file():
        if given is not None:
            raise DataError(
                f"{given} holds no pool; make one with: normalgen generate --out {given}, or leave --pool out"
            )
        return folder
    found = Pool.load(folder).rows[0]["category"]
    if found != category:
        raise DataError(f"the pool is of {found!r}, the references are of {category!r}")
    return folder


def unused_photos(folder: Path, references: "References", rate: float) -> "Images":
    """The photos in `folder` that are no references.

    Raises:
        DataError: too few for the rate.
    """
    from normalgen.images import Images

    try:
        photos = Images.from_folder(folder).cropped(references.images.crop)
    except DataError as error:
        raise DataError(f"--calibrate: {error}") from error
    known = set(references.images.hashes())
    fresh = [place for place, digest in enumerate(photos.hashes()) if digest not in known]
    if len(fresh) < len(photos):
        note(f"{len(photos) - len(fresh)} of {folder}'s photos are references; they do not count")
    least = math.ceil(1 / rate - 1e-9) - 1
    if len(fresh) < least:
        raise DataError(
            f"--calibrate {folder}: {len(fresh)} photos that are no references cannot support --rate {rate:g}; give "
            f"{least} in all, or a --rate of at least {math.ceil(1000 / (len(fresh) + 1)) / 1000:g}, or leave "
            "--calibrate out"
        )
    return photos.take(fresh)


def open_threshold(detector: "OneToNormal", unused: "Images | None", rate: float) -> "Threshold":
    """From photos that were not used; or approximate, from left-out references."""
    from normalgen.threshold import Threshold

    if unused is None:
        return Threshold(detector.left_out, rate, "approximate")
    return Threshold(detector.predict(unused).image_scores, rate, "calibrated")
