from dataclasses import replace

import pytest

from normalgen.cli.show import table
from normalgen.quality.acceptance import lines
from normalgen.quality.measures import Measures

REAL = Measures(8, 1.0, (0.2, 1.0, 1.1), 1.0, 0.3, 0.5, 0.1, 0.4)


def misses(**changes: object) -> dict[str, str]:
    one = Measures(**{**vars(REAL), **changes})
    found = lines({"augmented": REAL, "img2img": one})
    assert all(set(line.misses) <= {"img2img"} for line in found)
    return {line.measure: line.misses["img2img"] for line in found if line.misses}


def test_what_real_photos_and_augmented_references_show_misses_nothing() -> None:
    assert misses() == {}


@pytest.mark.parametrize(
    ("changes", "measure", "words"),
    [
        ({"sharpness": 0.79}, "sharpness", "softer"),
        ({"sharpness": 1.26}, "sharpness", "grainier"),
        ({"octaves": (1.0, 1.0, 0.49)}, "spectrum, worst octave", "lacks detail"),
        ({"octaves": (1.0, 2.01, 0.6)}, "spectrum, worst octave", "too much detail"),
        ({"seam": 1.11}, "seam", "grid of 8 px"),
        ({"patch_distance": 0.31}, "patch distance", "farther from unseen normal photos"),
        ({"nearer": 0.49}, "coverage", "fewer unseen normal patches"),
        ({"closed": 0.09}, "distance closed", "less near"),
        ({"copy_distance": 0.0}, "likest pair", "copy"),
    ],
)
def test_each_measure_that_misses_its_bar_is_put_into_words(
    changes: dict[str, object], measure: str, words: str
) -> None:
    (found,) = misses(**changes).items()
    assert found[0] == measure
    assert words in found[1]


def test_what_augmented_references_show_widens_the_range() -> None:
    soft = replace(REAL, sharpness=0.6)
    (line, *_) = lines(
        {"augmented": soft, "img2img": replace(REAL, sharpness=0.65), "txt2img": replace(REAL, sharpness=0.5)}
    )
    assert (line.bar, set(line.misses)) == ("0.6-1.25", {"txt2img"})


def test_what_was_not_measured_misses_nothing() -> None:
    assert misses(patch_distance=None, nearer=None, closed=None) == {}


def test_a_marked_cell_is_red_but_keeps_its_sign_and_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["seam", "1.30 !", "0.9-1.1"]]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert table(["measure", "img2img", "bar"], rows).splitlines()[1] == "seam     \x1b[31m1.30 ! \x1b[0m  0.9-1.1"
    monkeypatch.setenv("NO_COLOR", "1")
    assert table(["measure", "img2img", "bar"], rows).splitlines()[1] == "seam     1.30 !   0.9-1.1"
