"""Which detector a run uses: the default, one called by name, somebody's own, or a saved one."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.detectors.saved import SETTINGS
from normalgen.detectors.specs import CHOICES, DETECTORS, DetectorSpec, detector_path
from normalgen.errors import DataError

if TYPE_CHECKING:
    from normalgen.detectors.base import JudgingDetector
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.detectors.one_to_normal.triplet import Choice, Fusion

__all__ = ["check_flags", "default_detector", "named_detector", "saved_folder"]

DEFAULT = "one-to-normal"
TWINS = ("prompts", "strength", "steps")
OWN = ("branches", "fusion", "text", "choice", *TWINS)
"""Options of `normalgen detect` that are settings of One-to-Normal alone."""
STORED = ("tile", "size", "crop", "features", *OWN)
"""Options that a saved detector has settled."""


def default_detector(
    preset: str,
    *,
    features: str = "",
    branches: tuple[str, ...] = ("p", "n"),
    fusion: "Fusion | None" = None,
    text: str = "",
    choice: "Choice" = "ssim",
    size: int = 0,
    seed: int = 0,
    device: str = "cpu",
) -> "OneToNormal":
    """Return an unfitted One-to-Normal detector with these settings; the preset supplies the rest.

    With `size` above the features' own, they look at that many pixels.
    """
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.io.cache import user_cache

    paper = preset == "paper"
    return OneToNormal(
        features=features or ("embedded" if preset == "tiny" else "clip"),
        features_size=size,
        branches=branches,
        fusion=fusion or ("paper" if paper else "calibrated"),
        choice=choice,
        bank=30 if paper else 0,
        text=text,
        seed=seed,
        device=device,
        cache=user_cache("twins"),
    )


def saved_folder(text: str) -> Path | None:
    """Return the folder of a saved detector that `text` names; None if it names a detector. Loads nothing.

    Raises:
        DataError: it names neither, or both.
    """
    name, path, there = text.partition("[")[0], Path(text), False
    with suppress(OSError, ValueError):
        there = path.exists()
    if name in DETECTORS and (not there or not (path / SETTINGS).is_file()):
        detector_path(text)
        return None
    if name in DETECTORS:
        raise DataError(f"{text} is a detector and the folder of a saved one; write ./{text} for the folder")
    if not there and ":" not in name:
        raise DataError(
            f"{text} holds no detector, and none is called that; choose from {CHOICES}, or name a folder from --save"
        )
    if not there:
        detector_path(text)
    return path if there else None


def check_flags(text: str, folder: Path | None, given: Collection[str]) -> None:
    """Check that options of `normalgen detect` belong to the detector.

    Args:
        text: the detector, as typed.
        folder: of the saved detector, if it is one.
        given: names of the options that were typed.

    Raises:
        DataError: it has no such settings, or has settled them.
    """
    name, _, settings = text.partition("[")
    settled = [part.partition("=")[0].rpartition(".")[2] for part in settings.rstrip("]").split(",")]
    stored = STORED if "self_test" in given else (*STORED, "seed")
    owned = stored if folder else OWN if name != DEFAULT else [flag for flag in STORED if flag in settled]
    flags = [f"--{flag}" for flag in owned if flag in given]
    if not flags:
        return
    which, are = " and ".join(flags), "is" if len(flags) == 1 else "are"
    if folder:
        raise DataError(f"{which} {are} stored in the --detector; leave {which} out, or fit another detector")
    if name == DEFAULT:
        raise DataError(f"{text} already says what {which} {are}; leave {which} out")
    raise DataError(
        f"{which} {are} for one-to-normal, which has branches and twins; {name} has neither; leave {which} out. Its "
        f"own settings go in brackets, such as {name}[features=cnn]"
    )


def named_detector(
    text: str,
    asked: Mapping[str, Any],
    default: "OneToNormal",
    *,
    features: str = "",
    size: int = 0,
) -> "tuple[JudgingDetector, Mapping[str, Any]]":
    """Return the unfitted detector that `text` names, and the settings of the model with those in its brackets.

    Args:
        text: as `DetectorSpec.parse` takes it.
        asked: settings of the model by group.
        default: One-to-Normal with the run's settings; others take its seed, device and cache.
        features: what it looks with; "" for its own default.
        size: features that look at fewer pixels look at this many.

    Raises:
        DataError: no detector is called that, or it lacks a setting.
        PresetError: a value is out of range.
    """
    from normalgen.detectors.own_detector import OwnDetector

    spec = DetectorSpec.parse(text)
    if others := [group for group in spec.sampling if group != "twins"]:
        raise DataError(f"{text}: here only twins.* can be changed, {others[0]}.* belongs to the model's preset")
    twins = {**(asked.get("twins") or {}), **spec.sampling.get("twins", {})}
    asked = {**asked, "twins": twins} if spec.sampling else asked
    if spec.path == DETECTORS[DEFAULT]:
        return replace(default, **spec.settings), asked
    if features:
        spec = _looking(spec, features)
    given: dict[str, Any] = {"seed": default.seed, "device": default.device, "cache": default.cache}
    if not spec.judges:
        make = _maker(spec, given)
        return OwnDetector(make=make, name=spec.text, needs_model=spec.needs_model), asked
    made: Any = spec.open(**given)
    if size and "features_size" not in spec.settings and size > made.network().size:
        made = replace(made, features_size=size)
    return made, asked


def _looking(spec: DetectorSpec, features: str) -> DetectorSpec:
    """Return the same detector with these features; raises DataError if it takes none, or has others."""
    if "features" in spec.settings or "features" not in spec.parameters:
        why = "has its own" if "features" in spec.settings else "takes none"
        raise DataError(f"--features: {spec.text} {why}; leave --features out")
    return replace(spec, settings={**spec.settings, "features": features})


def _maker(spec: DetectorSpec, given: Mapping[str, Any]) -> Any:
    return lambda model: spec.open(**given, model=model)
