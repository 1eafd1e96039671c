"""normalgen presets."""

from itertools import groupby

from normalgen.cli.show import say
from normalgen.settings.preset import GROUPS, every_setting
from normalgen.settings.presets import PRESETS
from normalgen.settings.setting import Setting


def presets() -> None:
    """List every setting: its option, what it does, and its value in each preset."""
    for group, described in groupby(every_setting().values(), key=_group):
        say(f"{group}: {GROUPS[group].__doc__}" if group else f"presets: {', '.join(PRESETS)}")
        for setting in described:
            say(_lines(setting))
        say("")


def _group(setting: Setting) -> str:
    return setting.name.rpartition(".")[0]


def _lines(setting: Setting) -> str:
    values = [preset.flat()[setting.name] for preset in PRESETS.values()]
    text = ", ".join(f"{name} {value if value != '' else 'none'}" for name, value in zip(PRESETS, values, strict=True))
    option = f"  {setting.flag}" if setting.flag else ""
    return f"  {setting.name}{option}\n      {setting.help}\n      {text}"
