import re
from typing import Any, get_args

import pytest

from normalgen.errors import PresetError
from normalgen.settings.preset import every_setting
from normalgen.settings.presets import PRESETS, Preset, change, preset
from normalgen.settings.setting import Decided


def nested(name: str, value: object) -> dict[str, Any]:
    """The change of one setting, {"train": {"steps": 3}} for "train.steps" and 3."""
    group, _, inner = name.rpartition(".")
    return {group: {inner: value}} if group else {inner: value}


def test_a_preset_survives_being_written_down() -> None:
    assert all(Preset.from_settings(each.settings()) == each for each in PRESETS.values())


def test_changes_make_another_preset_and_none_leaves_a_field() -> None:
    changed = preset("tiny", pool={"strength": 0.7}, size=None)
    assert (changed.pool.strength, changed.size) == (0.7, PRESETS["tiny"].size)
    assert PRESETS["tiny"].pool.strength != 0.7


@pytest.mark.parametrize(
    ("setting", "value"),
    [("pool.strength", 0.0), ("pool.strength", 1.5), ("pool.strength", 0.01), ("pool.mix", 2.0), ("size", 0),
     ("sample.guidance", 0.5), ("augment", "mirror"), ("train.method", "half"), ("pool.prompts", 2), ("pool.group", 0),
     ("train.batch", -1), ("train.batch", 1.5), ("train.steps", True), ("pool.gate", 1), ("weights", 3)],
)  # fmt: skip
def test_a_value_out_of_range_is_named(setting: str, value: object) -> None:
    with pytest.raises(PresetError, match=setting.partition(".")[2] or setting):
        change(PRESETS["tiny"], **nested(setting, value))


def test_unknown_presets_and_settings_list_the_known_ones() -> None:
    with pytest.raises(PresetError, match=r"'huge'.*tiny"):
        preset("huge")
    with pytest.raises(PresetError, match=r"'speed'.*strength"):
        preset("tiny", speed=3)
    with pytest.raises(PresetError, match=r"'train\.speed'.*pool\.strength"):
        preset("tiny", train={"speed": 3})
    with pytest.raises(PresetError, match=r"train is a group of settings.*'method'"):
        preset("tiny", train=3)


def test_a_message_names_the_option_and_the_setting() -> None:
    with pytest.raises(
        PresetError, match=r"^--training-steps must be from 0 to 1000000, got -1 \(setting train.steps\)$"
    ):
        preset("tiny", train={"steps": -1})
    with pytest.raises(PresetError, match=r"^train\.rank must be from 1 to 1024, got 0$"):
        preset("tiny", train={"rank": 0})


IMPOSSIBLE = [
    ({"twins": {"strength": 0.01}}, "--strength must be at least 0.034"),
    ({"twins": {"steps": 10}}, "--steps must be at most 9"),
    ({"sample": {"steps": 3}, "twins": {"strength": 0.3}, "pool": {"strength": 0.5}}, "at least 0.334"),
    ({"sample": {"explicit_steps": 500}}, "--explicit-steps must be at most 1, the steps that --strength 0.034"),
    ({"sample": {"explicit_steps": 31}, "pool": {"mix": 0}}, "--explicit-steps must be at most 30"),
]


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE)
def test_settings_that_cannot_work_together_are_refused_at_once(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PresetError, match=re.escape(message)):
        preset("tiny", **changes)


def test_what_is_not_used_is_not_refused() -> None:
    few = preset("tiny", sample={"steps": 2}, pool={"strength": 0.5})
    with pytest.raises(PresetError, match=r"at least 0\.5"):
        few.check_twins()
    preset("tiny", sample={"explicit_steps": 30}, pool={"plain": 1})
    preset("tiny", sample={"explicit_steps": 30}, pool={"mix": 0})


def test_what_a_setting_decides_is_said_where_it_is_declared() -> None:
    tiny = PRESETS["tiny"]
    assert set(tiny.deciding("twins")) == {
        *("preset", "size", "sample.steps", "sample.sampler", "sample.guidance"),
        *("twins.prompts", "twins.strength", "twins.steps"),
    }
    undecided = set(tiny.flat()).difference(*(tiny.deciding(what) for what in get_args(Decided)))
    assert undecided == {"train.checkpointing", "sample.compile", "pool.budget"}


def test_every_setting_says_what_it_does_in_a_sentence() -> None:
    assert len(every_setting()) == len(PRESETS["tiny"].flat())
    assert all(re.fullmatch(r"\S.{9,230}\.", described.help) for described in every_setting().values())


def test_what_is_written_by_another_version_is_refused() -> None:
    saved = PRESETS["tiny"].settings()
    saved["pool"]["blend"] = saved["pool"].pop("mix")
    with pytest.raises(PresetError, match=r"another version.*pool\.blend, pool\.mix"):
        Preset.from_settings(saved)
