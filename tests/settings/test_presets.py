import pytest

from normalgen.errors import PresetError
from normalgen.settings.presets import PRESETS, Preset, change, preset


def test_a_preset_survives_being_written_down() -> None:
    assert all(Preset.from_settings(each.settings()) == each for each in PRESETS.values())


def test_changes_make_another_preset_and_none_leaves_a_field() -> None:
    changed = preset("tiny", strength=0.7, size=None)
    assert (changed.strength, changed.size) == (0.7, PRESETS["tiny"].size)
    assert PRESETS["tiny"].strength != 0.7


@pytest.mark.parametrize(
    ("setting", "value"),
    [("strength", 0.0), ("strength", 1.5), ("strength", 0.01), ("mix", 2.0), ("size", 0), ("guidance", 0.5),
     ("augment", "mirror"), ("method", "half"), ("prompts", 2), ("group", 0), ("batch", -1)],
)  # fmt: skip
def test_a_value_out_of_range_is_named(setting: str, value: object) -> None:
    with pytest.raises(PresetError, match=setting):
        change(PRESETS["tiny"], **{setting: value})


def test_unknown_presets_and_settings_list_the_known_ones() -> None:
    with pytest.raises(PresetError, match=r"'huge'.*tiny"):
        preset("huge")
    with pytest.raises(PresetError, match=r"'speed'.*strength"):
        preset("tiny", speed=3)
