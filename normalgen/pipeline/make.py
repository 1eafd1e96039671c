"""Makes a model of the references, and a pool."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.io.devices import pick_device
from normalgen.io.notes import note
from normalgen.io.progress import Watch, progress_bars
from normalgen.pipeline.folders import target_folder
from normalgen.pipeline.pool_making import PoolMaking, check_unlabeled, settled_with_remark
from normalgen.settings.preset import Preset
from normalgen.settings.presets import change
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.sources import ImageSource
    from normalgen.pool.dataset import Pool
    from normalgen.pool.workers import Shard
    from normalgen.references import References

__all__ = ["Settings", "customize", "generate_pool", "generate_shard"]

Settings = Mapping[str, Any]
"""Settings by group, such as `{"size": 512, "train": {"steps": 500}}`."""


def customize(
    references: "References",
    preset: str = "tiny",
    folder: str | Path | None = None,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> "NormalModel":
    """Return a diffusion model customized on the references (DreamBooth, Ruiz et al. 2023), saved in `folder`.

    Args:
        references: the k photos.
        preset: "tiny", "sd15" or "paper".
        folder: folder for the model; default: models/CATEGORY.
        settings: changes to the preset, by group: `{"size": 512, "train": {"steps": 500}}`.
        seed: decides every draw.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        progress: whether to show a bar.
        overwrite: replace a model in `folder` that has other settings.

    Raises:
        DataError: a photo cannot be read, or `folder` holds a model with other settings.
        PresetError: no such preset or setting, or a value out of range.
        MissingWeights: the preset's weights are missing.
    """
    from normalgen.customizing.dreambooth import fine_tune
    from normalgen.pool.origin import in_recorded_order
    from normalgen.references import note_lost_detail

    chosen, where = preset_called(preset, **(settings or {})), pick_device(device)
    note_lost_detail(references, chosen.size)
    references = in_recorded_order(references, target := target_folder(folder, "models", references.category))
    with progress_bars(progress) as watch:
        chosen = settled_with_remark(chosen, references, watch)
        return fine_tune(references, chosen, target, seed=seed, device=where, watch=watch, overwrite=overwrite)


def generate_pool(
    references: "References",
    n: int = 100,
    folder: str | Path | None = None,
    *,
    model: str | Path | None = None,
    preset: str = "tiny",
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
    unlabeled: "ImageSource | None" = None,
    contamination: float | None = None,
    repair: bool = False,
) -> "Pool":
    """Return a pool of `n` anomaly-free images in `folder`; customizes the model first, unless that is done.

    Args:
        references: the k photos.
        n: how many images the pool should have; a larger `n` extends an existing pool.
        folder: folder for the pool; default: pools/CATEGORY.
        model: folder of the model, which is made if it does not exist; default: models/CATEGORY.
        preset: as for `customize`.
        settings: as for `customize`.
        seed: image i draws from (seed, i).
        device: as for `customize`.
        progress: whether to show a bar.
        overwrite: replace a model and a pool that have other settings.
        unlabeled: more photos, most of them good, as for `normalgen.screen`: those that the screening keeps join the
            pool first; the rest is made from the references.
        contamination: as for `normalgen.screen`.
        repair: whether photos that are unusual in a small part are repaired by the model, and join the pool, too, if
            nothing in them is unusual then.

    Raises:
        DataError: as `customize` and `screen`; `n` is below 1; a folder has other settings or is in use; or the gate
            kept no image.
        PresetError: as `customize`; or a finished model was trained with other settings.
        MissingWeights: as `customize`.
    """
    check_unlabeled(unlabeled, contamination, repair=repair)
    with progress_bars(progress) as watch:
        options: dict[str, Any] = {"preset": preset, "settings": settings, "seed": seed, "device": device}
        target = target_folder(folder, "pools", references.category)
        options |= {"model": model, "overwrite": overwrite, "repair": repair}
        work = _pool_making(references, n, watch, target, **options)
        work.screen(unlabeled, contamination, target, repair=repair)
        return work.pool(target, n)


def generate_shard(
    references: "References",
    shard: "Shard",
    n: int = 100,
    folder: str | Path | None = None,
    *,
    model: str | Path | None = None,
    preset: str = "tiny",
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
    unlabeled: "ImageSource | None" = None,
    contamination: float | None = None,
    repair: bool = False,
) -> "Pool | None":
    """Draw one worker's share of a pool.

    Args:
        references: the k photos.
        shard: which share; the worker that draws the last share finishes the pool.
        n: how many images the pool should have.
        folder: as for `generate_pool`.
        model: as for `generate_pool`.
        preset: as for `customize`.
        settings: as for `customize`.
        seed: as for `generate_pool`.
        device: as for `customize`.
        progress: whether to show a bar.
        overwrite: as for `generate_pool`.
        unlabeled: as for `generate_pool`.
        contamination: as for `generate_pool`.
        repair: as for `generate_pool`.

    Returns:
        The pool; None while other workers are drawing.

    Raises:
        DataError: as `generate_pool`.
        PresetError: as `generate_pool`.
        MissingWeights: as `generate_pool`.
    """
    check_unlabeled(unlabeled, contamination, repair=repair)
    with progress_bars(progress) as watch:
        options: dict[str, Any] = {"preset": preset, "settings": settings, "seed": seed, "device": device}
        target = target_folder(folder, "pools", references.category)
        options |= {"model": model, "overwrite": overwrite, "repair": repair}
        work = _pool_making(references, n, watch, target, **options)
        work.screen(unlabeled, contamination, target, repair=repair, wait=True)
        return work.shard(target, n, shard)


def _pool_making(
    references: "References",
    n: int,
    watch: Watch,
    target: Path,
    *,
    model: str | Path | None = None,
    preset: str = "tiny",
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    repair: bool = False,
) -> "PoolMaking":
    """Return the making of the pool in `target`, with the model in the folder `model` if there is one."""
    from normalgen.customizing.saved_models import find_model, saved_preset, with_noun_of
    from normalgen.pool.origin import in_recorded_order, note_other_photos
    from normalgen.references import note_lost_detail

    if n < 1:
        raise DataError(f"n must be at least 1, got {n}")
    asked, where = settings or {}, pick_device(device)
    folder = target_folder(model, "models", references.category)
    references, given = in_recorded_order(references, folder, target), None if model is None else folder
    chosen = change(saved_preset(given) or preset_called(preset), **asked)
    named = {"category": references.category, "noun": references.noun}
    ready = None if given is None else find_model(given, chosen, asked, device=where, **named)
    if ready is not None:
        chosen, references = ready.preset, with_noun_of(ready, references)
        note_other_photos("the model", folder, references, "choose another --model to make one from these")
    else:
        _check_distilled(chosen, folder)
    note_lost_detail(references, chosen.size)
    if not chosen.draws and not repair:
        note("with --plain 1 diffusion makes no images, so no model is customized")
    return PoolMaking(
        references, chosen, folder, seed=seed, device=where, watch=watch, overwrite=overwrite, model=ready
    )


def _check_distilled(settings: Preset, folder: Path) -> None:
    """Check that the --distilled weights merge into the weights that will be customized in `folder`.

    Raises:
        MissingWeights: the weights or the distilled weights are missing.
        PresetError: the weights take no distilled weights.
    """
    from normalgen.customizing.saved_models import is_customized
    from normalgen.diffusion.loading import open_parts

    if not settings.sample.distilled or not settings.draws or is_customized(folder):
        return
    parts = open_parts(settings.weights)
    try:
        parts.merge(Path(settings.sample.distilled))
    except (MissingWeights, PresetError) as error:
        raise type(error)(f"--distilled: {error}") from error
