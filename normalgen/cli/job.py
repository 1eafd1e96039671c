"""What `normalgen generate` works through: a model, customized, taken over or finished, and a pool made with it."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.cli.show import Clock, note
from normalgen.errors import PresetError
from normalgen.io.progress import Watch
from normalgen.io.run_folder import read_record
from normalgen.settings.preset import Preset, flatten, label

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.pool.dataset import Pool
    from normalgen.pool.workers import Shard
    from normalgen.references import References

TRAINED = ("weights", "train")


def given_model(
    folder: Path | None, settings: Preset, references: "References", device: str, changes: dict[str, Any]
) -> "NormalModel | None":
    """The finished model that `--model` names, sampling as asked; None if there is none yet.

    Raises:
        PresetError: asked to be trained otherwise than it was, or others' without a preset for it.
    """
    if folder is None:
        return None
    return open_model(folder, settings, device, changes, category=references.category, noun=references.noun)


def open_model(
    folder: Path, settings: Preset, device: str, changes: dict[str, Any], *, category: str, noun: str
) -> "NormalModel | None":
    """The finished model in `folder`, or others', which is of `category` and `noun` then; None if there is neither.

    Args:
        folder: or file.
        settings: of others' models.
        device: of the model.
        changes: settings in which a finished one shall sample otherwise, and those it must have been trained with.
        category: what others' model draws.
        noun: what prompts call it.

    Raises:
        PresetError: asked to be trained otherwise than it was, or others' without a preset for it.
    """
    from normalgen.customize.dreambooth import is_begun, is_customized
    from normalgen.diffusion.loading import is_foreign
    from normalgen.diffusion.model import NormalModel

    if is_customized(folder):
        sampling = {name: value for name, value in changes.items() if name not in TRAINED}
        model = NormalModel.load(folder, device=device, changes=sampling)
        see_made(model.preset, folder, {name: value for name, value in changes.items() if name in TRAINED})
        return model
    if is_begun(folder) or not is_foreign(folder):
        return None
    return NormalModel.adopt(folder, settings, device=device, category=category, noun=noun)


def see_made(preset: Preset, folder: Path, asked: dict[str, Any]) -> None:
    """See that what is in `folder`, made by `preset`, was made as `asked`; None and "auto" ask for nothing.

    Raises:
        PresetError: it was not.
    """
    made = preset.flat()
    for name, value in flatten(asked):
        if value not in (None, "auto", made[name]):
            raise PresetError(
                f"{folder} was made with {label(name)} {made[name]}, now {value}; name another folder for another"
            )


def saved_preset(folder: Path | None) -> Preset | None:
    """How the finished model in `folder` was made and samples; None if there is none. Loads no weights.

    Raises:
        PresetError: another version wrote it.
    """
    if folder is None or not folder.is_dir():
        return None
    from normalgen.customize.dreambooth import is_customized
    from normalgen.diffusion.model import MODEL_FILE

    record = read_record(folder / MODEL_FILE) if is_customized(folder) else None
    return Preset.from_settings(record["preset"]) if record and "preset" in record else None


class Job:
    """One pool in the making: its checks, its previews, and its sheet."""

    def __init__(self, references: "References", settings: "Preset", out: Path, seed: int, overwrite: bool) -> None:
        from normalgen.pool.contact_sheet import PoolSheet
        from normalgen.pool.generate import check_pool
        from normalgen.pool.journal import RUN, record_folder

        settings = settle(settings, references)
        self.references, self.settings, self.seed, self.out, self.overwrite = references, settings, seed, out, overwrite
        if not overwrite or not (record_folder(out) / RUN).is_file():
            check_pool(out, references, settings, seed)
        self.sheet = PoolSheet(out, references, settings, seed)
        self.clock = Clock(45, 120)

    def run(
        self, n: int, model: "NormalModel | tuple[Path, str]", shard: "Shard | None", watch: Watch
    ) -> "Pool | None":
        """Customize where need be, then make the pool, or one worker's share of it; None while other workers go on.

        Args:
            n: how many images the pool shall hold.
            model: finished; or the folder and the device to customize it in, which is left out if nothing is drawn.
            shard: which worker of how many; None makes all.
            watch: told of the stages.
        """
        from normalgen.pool.generate import draw_shard, generate_pool

        ready = self._ready(*model, watch, wait=shard is not None) if isinstance(model, tuple) else model
        given = (ready, self.references, n, self.out)
        seed, overwrite = self.seed, self.overwrite
        if shard is not None:
            pool = draw_shard(*given, shard, seed=seed, watch=watch, overwrite=overwrite)
        else:
            pool = generate_pool(*given, seed=seed, watch=watch, preview=self.preview, overwrite=overwrite)
        if pool is not None:
            self.sheet.write()
        return pool

    def _ready(self, folder: Path, device: str, watch: Watch, *, wait: bool) -> "NormalModel | Preset":
        """The model, customized; the preset itself if it draws nothing."""
        from normalgen.customize.dreambooth import customize

        if not self.settings.draws:
            return self.settings
        return customize(
            self.references,
            self.settings,
            folder,
            seed=self.seed,
            device=device,
            watch=watch,
            preview=self.preview,
            overwrite=self.overwrite,
            wait=wait,
        )

    def preview(self, model: "NormalModel | None" = None) -> None:
        """Renew the contact sheet, now and then."""
        if self.clock.rings():
            with suppress(OSError):
                self.sheet.write(model)


def settle(settings: "Preset", references: "References") -> "Preset":
    """The settings with their augmentation settled; and a note where the references called for turns."""
    from normalgen.customize.auto_augment import settled

    found = settled(settings, references)
    if found.augment == "turned" and found is not settings:
        note("the photos show parts that lie at any angle, so they are turned (--augment safe would only tilt them)")
    return found
