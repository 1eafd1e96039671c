"""What the command line says of itself."""

import subprocess
import sys

import pytest
import typer
from detecting import run

from normalgen.cli.app import app
from normalgen.settings.preset import every_setting
from normalgen.settings.presets import preset


def test_doctor_presets_and_version_say_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert (run("presets"), run("--version"), run("doctor")) == (0, 0, 0)
    shown = capsys.readouterr().out
    for word in ("strength", "normalgen 0.1.0", "bundled prior", "elpv-mono", "device: "):
        assert word in shown
    for setting in every_setting().values():
        assert f"  {setting.name}{f'  {setting.flag}' if setting.flag else ''}\n      {setting.help}\n" in shown
    assert "tiny 0.034, sd15 0.5, paper 0.3" in shown


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "--help") == 0
    shown = capsys.readouterr().out
    assert "normalgen generate ./good -n 100" in shown
    assert "--strength" in shown


@pytest.mark.parametrize("name", ["generate", "customize", "personalize"])
def test_help_says_what_a_setting_is_in_preset_tiny(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    helps = {option.opts[0]: option.help for option in command.params}
    shared = {"personalize": "pool."}.get(name, "twins.")  # --strength and --prompts mean either
    settings = [each for each in every_setting().values() if each.option in helps and not each.name.startswith(shared)]
    settings = [each for each in settings if name != "personalize" or each.name != "weights"]  # other tools' models
    assert len(settings) >= 3
    for setting in settings:
        value = preset("tiny").flat()[setting.name]
        words = {"True": "on", "False": "off", "": "none"}
        text = f"{value:g}" if isinstance(value, float) else str(value)
        assert helps[setting.option] == f"{setting.help} Preset tiny: {words.get(text, text)}."


def test_help_needs_no_heavy_package() -> None:
    code = (
        "import sys, normalgen.cli\n"
        "try: normalgen.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'PIL', 'datasets'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
