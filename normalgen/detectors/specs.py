"""Turns `name[setting=value,...]` into a detector: one of ours, or the user's own by import path."""

import importlib
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError, NormalgenError, PresetError
from normalgen.settings.preset import every_setting
from normalgen.settings.presets import Preset, change

if TYPE_CHECKING:
    from normalgen.detectors.base import Detector, ExplainingDetector
    from normalgen.detectors.one_to_normal.shared_banks import KeptMaps
    from normalgen.diffusion.model import NormalModel

__all__ = ["CHOICES", "DETECTORS", "DetectorSpec", "detector_path", "sampling", "split_list"]

DETECTORS = {
    "one-to-normal": "normalgen.detectors.one_to_normal.detector:OneToNormal",
    "memory": "normalgen.baselines.memory:PatchMemory",
    "winclip": "normalgen.baselines.winclip:WinClip",
    "padim": "normalgen.baselines.padim:PaDiM",
    "anomalydino": "normalgen.baselines.anomalydino:AnomalyDINO",
    "subspacead": "normalgen.baselines.subspacead:SubspaceAD",
    "patchcore": "normalgen.baselines.patchcore:PatchCore",
}

GIVEN = {"device", "cache", "kept", "model"}
"""Arguments that a run supplies; no brackets change them."""
CHOICES = f"{', '.join(DETECTORS)}, or name your own as module:Class"


def split_list(text: str) -> list[str]:
    """The parts of a list, split at commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True)
class DetectorSpec:
    """A detector as the user requested it.

    Attributes:
        text: as typed, such as "one-to-normal[twins.strength=0.2]"; its cells are named after it.
        path: module and class, "normalgen.detectors.one_to_normal.detector:OneToNormal".
        settings: arguments for its constructor.
        sampling: changes to the customized model's preset, such as {"twins": {"strength": 0.2}}.
    """

    text: str
    path: str
    settings: dict[str, Any]
    sampling: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> "DetectorSpec":
        """Parse a name of `DETECTORS` or module:Class, and settings in brackets: words, JSON values, lists joined by +.

        Raises:
            DataError: the text is malformed, or the detector or setting does not exist.
        """
        name, words = _parts(text)
        path = detector_path(text)
        kind = _load(path)
        known = _parameters(kind) - GIVEN
        allowed = _sampling_names() if "model" in _parameters(kind) else set[str]()
        settings: dict[str, Any] = {}
        sampling: dict[str, Any] = {}
        for part in split_list(words):
            setting, equals, value = part.partition("=")
            if not equals or setting not in known | allowed:
                raise DataError(f"{name} has no setting {part!r}; it has {', '.join(sorted(known | allowed))}")
            group, _, inner = setting.rpartition(".")
            (sampling.setdefault(group, {}) if group else settings)[inner] = _value(value)
        spec = cls(text, path, settings, sampling)
        opened = spec._plain()
        check = getattr(opened, "check", None)
        if callable(check):
            check()
        return spec

    @property
    def needs_model(self) -> bool:
        """Whether its constructor takes a customized model, and its settings use it."""
        opened = _explaining(self._plain())
        return "model" in self.parameters and (opened is None or opened.needs_model)

    @property
    def makes_twins(self) -> bool:
        """Whether it makes twins, and can also score without them."""
        opened = _explaining(self._plain())
        return self.needs_model and opened is not None and opened.without_model() is not None

    @property
    def leaves_out(self) -> bool:
        """Whether it can leave out outlying patches of a pool."""
        return "drop" in self.parameters

    @property
    def judges(self) -> bool:
        """Whether `normalgen detect` can use it as it is; if not, `OwnDetector` wraps it."""
        return hasattr(_load(self.path), "explain_photos")

    @property
    def parameters(self) -> set[str]:
        """The settings that its constructor takes."""
        return _parameters(_load(self.path))

    def sampling_preset(self, preset: Preset) -> Preset:
        """`preset` with the settings of `sampling`, for twins only: the pool's settings are not checked.

        Raises:
            PresetError: a value is out of range, or a model with these settings cannot make twins.
        """
        if not self.needs_model:
            return preset
        changed = change(preset, pool={"plain": 1.0}, **self.sampling) if self.sampling else preset
        if _explaining(self._plain()) is not None:
            changed.check_twins()
        return changed

    def open(
        self,
        *,
        seed: int,
        device: str,
        cache: Path | None,
        kept: "KeptMaps | None" = None,
        model: "NormalModel | None" = None,
        drop: float = 0.0,
    ) -> "Detector":
        """The unfitted detector; its constructor gets those of the arguments that it takes.

        Raises:
            PresetError: the detector refuses a value.
            DataError: the constructor of the user's own detector fails.
        """
        given: dict[str, Any] = {"seed": seed, "device": device, "cache": cache, "kept": kept, "model": model}
        given |= {"drop": drop} if drop else {}
        settings = {name: value for name, value in given.items() if name in self.parameters} | self.settings
        try:
            made: Detector = _load(self.path)(**settings)
        except TypeError as error:
            raise PresetError(f"{self.text}: {error}") from error
        except NormalgenError:
            raise
        except Exception as error:
            raise DataError(f"the detector {self.text} cannot be constructed: {error!r}") from error
        return made

    def _plain(self) -> "Detector":
        return self.open(seed=0, device="cpu", cache=None)


def detector_path(text: str) -> str:
    """Return the module and class of a detector, as `DetectorSpec.parse` takes it; imports nothing.

    Raises:
        DataError: the text is malformed, or no detector has this name.
    """
    path = DETECTORS.get(name := _parts(text)[0], name)
    if ":" not in path:
        raise DataError(f"no detector is called {name!r}; choose from {CHOICES}")
    return path


def sampling(model: "NormalModel | None", spec: DetectorSpec) -> "NormalModel | None":
    """The model with the sampling settings of `spec`."""
    return model if model is None or not spec.sampling else model.using(spec.sampling_preset(model.preset))


def _sampling_names() -> set[str]:
    """Settings of a customized model that a detector may change: no model or pool is made again for them."""
    twins = {name for name, described in every_setting().items() if "." in name and "twins" in described.decides}
    return twins | {"sample.precision"}


def _parts(text: str) -> tuple[str, str]:
    """Return the name and the settings in NAME[settings]."""
    match = re.fullmatch(r"([\w.:-]+)(?:\[(.+)\])?", text)
    if match is None:
        raise DataError(f"a detector must be NAME or NAME[setting=value,...], got {text!r}")
    return match[1], match[2] or ""


def _explaining(detector: "Detector") -> "ExplainingDetector | None":
    from normalgen.detectors.base import ExplainingDetector

    return detector if isinstance(detector, ExplainingDetector) else None


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise DataError(
            f"the detector {path} cannot be imported: {error}; check that its folder is on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise DataError(f"{module} has no {name}: {error}") from error
    except Exception as error:  # a user's module may raise anything
        raise DataError(f"the detector {path} cannot be imported: {error!r}") from error
    if not (hasattr(kind, "fit") and hasattr(kind, "predict")):
        raise DataError(f"{path} is not a detector: it needs fit(references, pool) and predict(queries)")
    return kind


def _parameters(kind: Any) -> set[str]:
    return set(inspect.signature(kind).parameters)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [part for part in text.split("+") if part] if "+" in text else text
