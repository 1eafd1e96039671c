"""Writes the normal twins of photos."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.progress import progress_bars
from normalgen.pipeline.folders import check_apart, queries_from, target_folder
from normalgen.pipeline.make import Settings
from normalgen.settings.presets import change
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.images.sources import ImageSource

__all__ = ["WrittenTwins", "personalize"]


@dataclass(frozen=True)
class WrittenTwins:
    """The result of a personalization run.

    Attributes:
        folder: folder of the pictures.
        count: how many twins were written.
        errors: one message per unreadable photo, by name.
    """

    folder: Path
    count: int
    errors: dict[str, str]


def personalize(
    queries: "ImageSource",
    model: "str | Path | NormalModel",
    folder: str | Path | None = None,
    *,
    preset: str = "tiny",
    settings: Settings | None = None,
    noun: str = "object",
    crop: Any = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> WrittenTwins:
    """Write each query's normal twin, and a picture of query, twin and difference, into `folder`.

    Args:
        queries: a folder of photos, one photo, PIL images, or an array (N, H, W, 3) of uint8.
        model: a model customized on such parts, or its folder; also another tool's DreamBooth folder or LoRA.
        folder: folder for the pictures; default: twins/CATEGORY.
        preset: preset for another tool's model.
        settings: as for `customize`; the group "twins" says how twins are made.
        noun: noun for the prompts, for another tool's model.
        crop: None, "center", or (x, y, width, height) in pixels.
        seed: decides a photo's noise, together with the photo's content.
        device: as for `customize`.
        progress: whether to show a bar.

    Raises:
        DataError: no photos, no model, or the folder holds other files.
        PresetError: as `customize`; or a twin would get no denoising step.
    """
    from normalgen.customizing.saved_models import find_model, saved_preset
    from normalgen.detectors.one_to_normal.twins import Personalizer
    from normalgen.io.outputs import see_free
    from normalgen.pool.origin import note_other_crop
    from normalgen.report.twin_files import MADE_BY, write_twins

    photos, asked = queries_from(queries, crop), settings or {}
    if not isinstance(model, str | Path):
        ready, name = model, model.category
    else:
        path = Path(model)
        chosen = change(saved_preset(path) or preset_called(preset), **asked)
        opened = find_model(path, chosen, asked, device=pick_device(device), category="", noun=noun)
        if opened is None:
            raise DataError(f"{model} holds no model; make one with: normalgen customize FOLDER --out {model}")
        note_other_crop("the model", path, crop)
        full = path.resolve()
        ready, name = opened, opened.category or (full if full.is_dir() else full.parent).name
    target = target_folder(folder, "twins", name)
    check_apart(queries, target)
    see_free(target, MADE_BY)
    personalizer = Personalizer(ready, seed=seed)
    with progress_bars(progress) as watch:
        errors = write_twins(personalizer, photos, target, watch=watch)
    return WrittenTwins(target, len(photos.images) - len(errors), errors)
