"""What a pool records of itself: everything that decides it, and what it was made with."""

from typing import Any

from normalgen.diffusion.model import NormalModel
from normalgen.features.open_features import open_features, opened
from normalgen.images.images import Images
from normalgen.io.provenance import versions
from normalgen.io.records import text_digest
from normalgen.pool.plan import preset_of
from normalgen.pool.repairs import Repairs
from normalgen.references import References
from normalgen.settings.presets import Preset

__all__ = ["looked_with", "pool_record", "pool_settings"]


def pool_settings(
    references: References, preset: Preset, seed: int, photos: Images | None, repaired: Repairs | None = None
) -> dict[str, Any]:
    """Return everything that decides a pool, except the model; `photos` and `repaired` ones join it as they are."""
    given = {"photos": photos, "repaired": None if repaired is None else repaired.images}
    joined = {name: images and text_digest("\n".join(images.hashes()).encode()) for name, images in given.items()}
    return preset.deciding("pool") | looked_with(preset) | references.identity() | {"seed": seed} | joined


def looked_with(preset: Preset) -> dict[str, Any]:
    """Return what the gate's features are in this version: a pool judged with other ones is not continued."""
    return {"pool.gate_features": opened(open_features(preset.pool.gate_features))} if preset.pool.gate else {}


def pool_record(
    settings: dict[str, Any],
    model: NormalModel | Preset,
    references: References,
    photos: Images | None,
    repaired: Repairs | None = None,
) -> dict[str, Any]:
    """Return the contents of a pool's `run.json`."""
    record: dict[str, Any] = {
        "settings": settings,
        "preset": preset_of(model).settings(),
        "device": "cpu" if isinstance(model, Preset) else model.device,
        "versions": versions(("torch", "diffusers", "datasets", "pillow")),
        "references": references.manifest(),
    }
    record |= {} if photos is None else {"photos": photos.manifest()}
    return record | ({} if repaired is None else {"repaired": [*repaired.rows]})
