"""One-to-Normal (Li et al., NeurIPS 2024): compares each query with its twin, a bank and text, and fuses the maps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from normalgen.detectors.base import Explanation, Prediction
from normalgen.detectors.one_to_normal import saved_detector
from normalgen.detectors.one_to_normal.branches import Branches
from normalgen.detectors.one_to_normal.calibration import Known, learn_usual
from normalgen.detectors.one_to_normal.left_out import BankWithout
from normalgen.detectors.one_to_normal.options import check_category, check_options
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps, bank_levels, banks_of
from normalgen.detectors.one_to_normal.state import Fitted, Training
from normalgen.detectors.one_to_normal.stitching import explain_tiles, highest, same_size
from normalgen.detectors.one_to_normal.text_branch import open_text
from normalgen.detectors.one_to_normal.triplet import (
    WEIGHTS,
    Choice,
    Fusion,
    Levels,
    Moments,
    Reduce,
    fuse,
    image_scores,
)
from normalgen.detectors.one_to_normal.twins import Personalizer
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.open_features import open_features, opened
from normalgen.images.images import Images, Photo, stacked
from normalgen.images.sources import ImageSource, as_images
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = ["OneToNormal"]

STORED = ("features", "fusion", "reduce", "choice", "bank", "text", "seed", "features_size")


@dataclass(kw_only=True)
class OneToNormal:
    """The triplet detector.

    Args:
        model: customized on the references; branch p needs it to make twins.
        features: name, as `normalgen.features.open_features` takes it.
        features_size: width and height, in pixels, of the features' input; their default if that is larger, or if 0.
        branches: any of "p" (twin), "n" (bank), "text".
        fusion: "paper" adds raw scores with the paper's weights; "calibrated" adds deviations from normal images' maps,
            each branch weighted by how well it finds defects drawn on the references.
        reduce: image score of a calibrated map: "top", the mean of its highest 1 %, or "max".
        choice: which of a query's candidates, one per prompt, S_P uses: the most similar ("ssim"), or all, with the
            mean ("mean") or the minimum ("min_map") of their distances at each position.
        bank: most images in the bank, references first, then the pool by index; 0: no limit (the paper: 30).
        text: file of text maps (`normalgen train-text`), for branch text.
        batch: queries per batch; changes no score by more than 1e-4.
        seed: draws twins and augmentations.
        device: device of the features; the model has its own.
        cache: folder of cached twins and patch vectors; None caches none.
        kept: cached S_N by query and part of the bank, for detectors whose banks share parts; None caches none.
    """

    model: "NormalModel | None" = field(default=None, repr=False)
    features: str = "embedded"
    features_size: int = 0
    branches: Sequence[str] = ("p", "n")
    fusion: Fusion = "calibrated"
    reduce: Reduce = "top"
    choice: Choice = "ssim"
    bank: int = 0
    text: str = ""
    batch: int = 8
    seed: int = 0
    device: str = "cpu"
    cache: Path | None = None
    kept: KeptMaps | None = field(default=None, repr=False)
    fitted_: Fitted | None = field(default=None, init=False, repr=False)

    def fit(self, references: References, pool: Pool | None = None, *, size: int = 0, watch: Watch = silent) -> Self:
        """Fill the bank, and learn the maps that normal images give.

        Args:
            references: the k normal photos.
            pool: generated normals that join the bank.
            size: width and height, in pixels, of the images it looks at; 0: the model's, or else the features'.
            watch: receives the progress of "read references", "fill bank" and "learn normal", per image.

        Raises:
            DataError: pool or model has another category.
            PresetError: an unknown branch, p without a model, or text without a text side or text maps.
        """
        self._check(references, pool)
        network = self.network()
        branches = self._open(network, references.noun)
        model = self._twin_model
        size = size or (self.model.preset.size if self.model else network.size)
        known = Known.of(references, pool, size, self.bank, watch)
        levels = bank_levels(branches, torch.cat([known.photos, known.drawn]), watch)
        banks = banks_of(levels, len(known.photos), self.kept, self.device, subspaces=self.fusion == "calibrated")
        usual = learn_usual(branches, banks, known, seed=self.seed, watch=watch)
        trust = {} if model is None else {"p": model.parts.twin_trust}
        weights = dict(WEIGHTS) if self.fusion == "paper" else usual.weights(trust, self.reduce)
        left_out = highest(self._scores(usual.left_out, usual.moments, weights)["fused"], usual.views)
        training = Training.of(references)
        self.fitted_ = Fitted(branches, banks, usual.moments, weights, left_out, size, training, known.sources)
        return self

    def check(self) -> None:
        """Check the settings as `check_options` does, without loading a network."""
        check_options(self.features, self.branches, self.choice, self.text)

    @property
    def is_fitted(self) -> bool:
        """Whether it is ready to predict, after `fit` or `load`."""
        return self.fitted_ is not None

    @property
    def trained_from(self) -> Training:
        """Category, noun, crop and SHA-256 of the references; raises NotFittedError before `fit`."""
        return self._ready().training

    @property
    def left_out(self) -> Tensor:
        """Scores of left-out references and their augmentations: normal images, but not new ones."""
        return self._ready().left_out

    def explain(self, queries: Images) -> Iterator[Explanation]:
        """Yield everything that `predict` is computed from, one batch at a time.

        Raises:
            NotFittedError: before `fit`.
        """
        fitted = self._ready()
        for photos in queries.photos(fitted.size, self.together, whole=self.tile > 0):
            yield self.explain_photos(photos)

    @property
    def tile(self) -> int:
        """Width and height of tiles, in pixels, as the references were cut; 0 if photos are judged whole."""
        return self._ready().training.tile

    @property
    def together(self) -> int:
        """How many photos `explain_photos` takes at a time: a batch, or 1 if photos are judged in tiles."""
        return 1 if self.tile else self.batch

    def explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        """Return the explanation of at most `together` photos, read at the detector's size; tiles need their image."""
        if not self.tile:
            return self.explain_pixels(stacked(photos), [photo.key for photo in photos])
        (photo,) = photos
        return explain_tiles(self.explain_pixels, photo, self.tile, self._ready().size, self.batch)

    def explain_pixels(self, images: Tensor, keys: Sequence[str], without: int | None = None) -> Explanation:
        """Return the explanation of images (N, 3, S, S) in [0, 1] named by `keys`.

        `without` is the index of a reference to leave out of the bank.
        """
        fitted = self._ready()
        left_out = None if without is None else BankWithout(fitted.banks, fitted.sources, [without] * len(images))
        twins, raw = fitted.branches.compare(images, keys, left_out or fitted.banks)
        maps = self._standardized(raw, fitted.moments)
        alone = {name: fuse({name: levels}, {name: 1.0}) for name, levels in maps.items()}
        scores = self._scores(raw, fitted.moments, fitted.weights)
        return Explanation(images, twins, scores, fuse(maps, fitted.weights), alone)

    def predict(self, queries: ImageSource) -> Prediction:
        """Return scores (N,) and fused maps (N, H, W) on the finest grid; maps of tiles are resized to the largest one.

        Raises:
            NotFittedError: before `fit`.
        """
        batches = [(batch.scores["fused"], batch.maps) for batch in self.explain(as_images(queries))]
        if not batches:
            return Prediction(torch.empty(0), torch.empty(0, 0, 0))
        scores, maps = zip(*batches, strict=True)
        return Prediction(torch.cat(scores), same_size(maps))

    def trained_on(self, queries: Images) -> list[str]:
        """Return the names of the queries whose masks the text maps were trained on; none without branch text.

        Raises:
            NotFittedError: before `fit`.
        """
        text = self._ready().branches.text
        return [] if text is None else text[0].seen(queries)

    def settings(self) -> dict[str, Any]:
        """Return every setting that a result depends on, as plain data.

        Raises:
            NotFittedError: before `fit`.
        """
        fitted = self._ready()
        settings: dict[str, Any] = {name: getattr(self, name) for name in STORED} | {"branches": [*self.branches]}
        settings |= {"category": fitted.training.category, "object": fitted.training.noun, "size": fitted.size}
        settings |= {"tile": self.tile} if self.tile else {}
        settings |= {"bank_images": len(fitted.banks.levels[0]), "network": opened(fitted.branches.network)}
        settings["weights"] = {name: fitted.weights[name] for name in self.branches}
        if fitted.branches.personalizer is not None:
            model = fitted.branches.personalizer.model
            settings |= model.preset.deciding("twins") | {"model": model.digest}
        return settings

    def save(self, folder: Path) -> None:
        """Write all that `predict` needs into `folder`.

        Raises:
            NotFittedError: before `fit`.
        """
        fitted = self._ready()
        text, personalizer = fitted.branches.text, fitted.branches.personalizer
        maps, model = text[0] if text else None, personalizer.model if personalizer else None
        saved_detector.write_detector(folder, self.record(), fitted.tensors(), maps, model)

    def record(self) -> dict[str, Any]:
        """Return what `fit` learned apart from tensors, as plain data; raises NotFittedError before `fit`."""
        fitted = self._ready()
        made = {"sources": fitted.sources, "network": opened(fitted.branches.network)}
        return {"settings": self.settings(), **made, "training": asdict(fitted.training)}

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", batch: int = 8, cache: Path | None = None) -> "OneToNormal":
        """Return the detector that `save` wrote; it gives the same scores.

        Raises:
            DataError, MissingWeights: as `read_detector`; or the features of that name have changed.
        """
        record, tensors = saved_detector.read_detector(folder)
        known = record["settings"]
        stored: dict[str, Any] = {name: value for name, value in known.items() if name in (*STORED, "branches")}
        stored |= {"text": str(folder / saved_detector.TEXT) if known["text"] else "", "device": device, "batch": batch}
        model = saved_detector.read_model(folder, device) if "p" in known["branches"] else None
        return cls(model=model, cache=cache, **stored).take_over(record, tensors, folder)

    def take_over(self, record: saved_detector.SavedDetector, tensors: Mapping[str, Tensor], source: Path) -> Self:
        """Become fitted with what a detector of these settings learned, read from `source`; errors as `load`."""
        network = self.network()
        saved_detector.need_network(record, opened(network), source)
        self.fitted_ = Fitted.read(self._open(network, record["settings"]["object"]), tensors, record, self.device)
        return self

    def network(self) -> Features:
        """Return the features, opened."""
        network = open_features(self.features, device=self.device)
        if self.features_size > network.size:
            network = open_features(self.features, device=self.device, size=self.features_size)
        return network if self.cache is None else KeptFeatures(network, self.cache / "patches")

    def _ready(self) -> Fitted:
        if self.fitted_ is None:
            raise NotFittedError("fit the detector first: detector.fit(references, pool)")
        return self.fitted_

    def judged_size(self, model_size: int) -> int:
        """Return the width and height, in pixels, of the images that it will judge with a model of `model_size`."""
        return model_size if self.needs_model else self.network().size

    @property
    def needs_model(self) -> bool:
        """Whether it needs a customized model: branch p makes twins with one."""
        return "p" in self.branches

    def without_model(self) -> "OneToNormal | None":
        """Return the same detector, unfitted, without branch p; None if it has no other branch."""
        others = tuple(name for name in self.branches if name != "p")
        return replace(self, model=None, branches=others) if others else None

    @property
    def _twin_model(self) -> "NormalModel | None":
        return self.model if self.needs_model else None

    def _check(self, references: References, pool: Pool | None) -> None:
        self.check()
        model = self._twin_model
        if self.needs_model and model is None:
            raise PresetError("the branch p needs a customized model to make twins; customize one, or leave p out")
        check_category(references, model, pool)

    def _open(self, network: Features, noun: str) -> Branches:
        model = self._twin_model
        personalizer = Personalizer(model, seed=self.seed, cache=self.cache) if model else None
        text = open_text(Path(self.text), network, noun) if "text" in self.branches else None
        return Branches(network, personalizer, text, "n" in self.branches, self.batch, self.choice)

    def _standardized(self, raw: dict[str, Levels], usual: dict[str, Moments]) -> dict[str, Levels]:
        return raw if self.fusion == "paper" else {name: usual[name].standardize(maps) for name, maps in raw.items()}

    def _scores(self, raw: dict[str, Levels], usual: dict[str, Moments], by: dict[str, float]) -> dict[str, Tensor]:
        return image_scores(self._standardized(raw, usual), self.fusion, self.reduce, by)
