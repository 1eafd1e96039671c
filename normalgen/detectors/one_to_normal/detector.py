"""One-to-Normal (Li et al., NeurIPS 2024): compares each query with its twin, a bank and text, and fuses the maps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor

from normalgen.detectors.base import Explanation
from normalgen.detectors.one_to_normal import saved_detector
from normalgen.detectors.one_to_normal.branches import Branches
from normalgen.detectors.one_to_normal.calibration import Known, known_names, learn_usual
from normalgen.detectors.one_to_normal.left_out import BankWithout
from normalgen.detectors.one_to_normal.options import check_category, check_options, described
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps, bank_levels, banks_of
from normalgen.detectors.one_to_normal.state import Fitted, Training
from normalgen.detectors.one_to_normal.stitching import highest
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
from normalgen.detectors.pixel_detector import PixelDetector
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.finite import naming
from normalgen.features.open_features import open_features, opened
from normalgen.images.images import Images
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = ["OneToNormal"]

STORED = ("features", "fusion", "reduce", "choice", "bank", "text", "seed", "features_size")


@dataclass(kw_only=True)
class OneToNormal(PixelDetector):
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
        images, names = torch.cat([known.photos, known.drawn]), known_names(references, pool)
        with naming(network, [images], names[: len(images)]):
            levels = bank_levels(branches, images, watch)
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
    def image_size(self) -> int:
        """Width and height, in pixels, of the images it judges; raises NotFittedError before `fit`."""
        return self._ready().size

    @property
    def left_out(self) -> Tensor:
        """Scores of left-out references and their augmentations: normal images, but not new ones."""
        return self._ready().left_out

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

    def trained_on(self, queries: Images) -> list[str]:
        """Return the names of the queries whose masks the text maps were trained on; none without branch text.

        Raises:
            NotFittedError: before `fit`.
        """
        text = self._ready().branches.text
        return [] if text is None else text[0].seen(queries)

    def described(self) -> list[str]:
        """Return how it judges, and the unit of its scores; raises NotFittedError before `fit`."""
        return described(self.settings())

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
        saved_detector.write_detector(folder, *self.learned(), maps, model)

    def learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `fit` learned: plain data, and tensors by name; raises NotFittedError before `fit`."""
        fitted = self._ready()
        made = {"sources": fitted.sources, "network": opened(fitted.branches.network)}
        record = {"settings": self.settings(), **made, "training": asdict(fitted.training)}
        return record, fitted.tensors()

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

    def take_over(self, record: Mapping[str, Any], tensors: dict[str, Tensor], source: Path) -> Self:
        """Become fitted with what a detector of these settings `learned`, read from `source`; errors as `load`."""
        network, saved = self.network(), cast(saved_detector.SavedDetector, record)
        saved_detector.need_network(saved, opened(network), source)
        self.fitted_ = Fitted.read(self._open(network, record["settings"]["object"]), tensors, saved, self.device)
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

    @property
    def uses_pool(self) -> bool:
        """Whether it learns from a pool: branch n does."""
        return "n" in self.branches

    def with_model(self, model: "NormalModel | None") -> "OneToNormal":
        """Return the same detector, unfitted, with this model."""
        return replace(self, model=model)

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
