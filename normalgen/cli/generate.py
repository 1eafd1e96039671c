"""normalgen generate."""

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.cli import inputs
from normalgen.cli.show import Clock, going_on, note, progress, say
from normalgen.errors import DataError, PresetError
from normalgen.presets import Preset, change
from normalgen.presets import preset as make_preset
from normalgen.watch import Watch

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel
    from normalgen.pool import Pool
    from normalgen.references import References


def generate(
    folder: inputs.Folder = None,
    n: inputs.Count = 100,
    category: inputs.CategoryName = None,
    data: inputs.Data = None,
    noun: inputs.Object = None,
    k: inputs.K = None,
    manifest: inputs.Manifest = None,
    crop: inputs.CropText = None,
    seed: inputs.Seed = 0,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    model: inputs.ModelFolder = None,
    size: inputs.Size = None,
    augment: inputs.AugmentName = None,
    method: inputs.MethodName = None,
    training_steps: inputs.TrainingSteps = None,
    sampling_steps: inputs.SamplingSteps = None,
    out: inputs.PoolFolder = None,
    plain: inputs.Plain = None,
    mix: inputs.Mix = None,
    strength: inputs.Strength = None,
    prompts: inputs.Prompts = None,
    gate: inputs.GateSwitch = None,
    budget: inputs.Budget = None,
    device: inputs.DeviceName = "auto",
    overwrite: inputs.Overwrite = False,
) -> None:
    """Make a pool of anomaly-free images from a few normal photos.

    Customizes the model on the photos first, unless that is done. A run that was stopped goes on with the same command.

    normalgen generate ./good -n 100

    normalgen generate --category elpv-mono -n 100

    normalgen generate --category hazelnut --data MVTEC_ROOT -k 4 -n 100
    """
    changes = {
        "weights": weights,
        "size": size,
        "augment": augment,
        "method": method,
        "training_steps": training_steps,
        "sampling_steps": sampling_steps,
        "plain": plain,
        "mix": mix,
        "strength": strength,
        "prompts": prompts,
        "gate": gate,
        "budget": budget,
    }
    settings = make_preset(preset, **changes)
    if n < 1:
        raise DataError(f"-n must be at least 1, got {n}")
    references = inputs.references_from(folder, category, data, noun, k, manifest, crop, seed)
    chosen = inputs.pick_device(device)
    ready = given_model(model, chosen, changes)
    settings = ready.preset if ready else settings
    inputs.check_photos(references, settings.size)
    job = Job(references, settings, out or Path("pools") / references.category, seed, overwrite)
    with going_on():
        begun = time.monotonic()
        with progress() as watch:
            pool = job.run(n, ready or (model or Path("models") / references.category, chosen), watch)
    say(f"{len(pool)} normal images of {references.category!r} in {time.monotonic() - begun:.0f} s")
    tell_of_rejected(pool, n, settings.budget)
    say(f"  pool           {pool.folder}")
    say(f"  contact sheet  {job.sheet.path}")
    say(f"load it:  datasets.load_dataset({pool.folder.as_posix()!r}, split='train')")
    say("grow it:  the same command with a larger -n")


def tell_of_rejected(pool: "Pool", n: int, budget: float) -> None:
    """What the gate rejected, what it cannot tell, and what to do when it left too few."""
    from normalgen.pool import REJECTED

    for sentence in pool.gate().get("unknown", []):
        note(sentence)
    reasons = Counter(each.reason for each in pool.rejected())
    if reasons:
        what = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        say(f"  rejected       {what}: {pool.folder / REJECTED}")
    if len(pool) < n:
        note(
            f"{len(pool)} of {n} images were kept within the budget of {budget:g} candidates each; "
            "try a larger --budget; or, with --overwrite, a lower --strength, more photos, or --no-gate"
        )


def given_model(folder: Path | None, device: str, changes: dict[str, Any]) -> "NormalModel | None":
    """The finished model that `--model` names, its preset changed as asked; None if there is none yet."""
    from normalgen.customize import is_customized
    from normalgen.diffusion.model import NormalModel

    if folder is None or not is_customized(folder):
        return None
    model = NormalModel.load(folder, device=device)
    for name in ("weights", "method", "training_steps"):
        if changes[name] not in (None, getattr(model.preset, name)):
            raise PresetError(f"{folder} is finished, with {name} {getattr(model.preset, name)}; customize another")
    return model.using(change(model.preset, **changes))


class Job:
    """One pool in the making: its checks, its previews, and its sheet."""

    def __init__(self, references: "References", settings: "Preset", out: Path, seed: int, overwrite: bool) -> None:
        from normalgen.pool import RUN, check_pool
        from normalgen.report import PoolSheet

        self.references, self.settings, self.seed, self.out, self.overwrite = references, settings, seed, out, overwrite
        if not overwrite or not (out / RUN).is_file():
            check_pool(out, references, settings, seed)
        self.sheet = PoolSheet(out, references, settings, seed)
        self.clock = Clock(45, 120)

    def run(self, n: int, model: "NormalModel | tuple[Path, str]", watch: Watch) -> "Pool":
        """Customize where need be, then make the pool."""
        from normalgen.pool import generate_pool

        ready = self._customized(*model, watch) if isinstance(model, tuple) else model
        pool = generate_pool(
            ready,
            self.references,
            n,
            self.out,
            seed=self.seed,
            watch=watch,
            preview=self.preview,
            overwrite=self.overwrite,
        )
        self.sheet.write()
        return pool

    def _customized(self, folder: Path, device: str, watch: Watch) -> "NormalModel":
        from normalgen.customize import customize

        return customize(
            self.references,
            self.settings,
            folder,
            seed=self.seed,
            device=device,
            watch=watch,
            preview=self.preview,
            overwrite=self.overwrite,
        )

    def preview(self, model: "NormalModel | None" = None) -> None:
        """Renew the contact sheet, now and then."""
        if self.clock.rings():
            with suppress(OSError):
                self.sheet.write(model)
