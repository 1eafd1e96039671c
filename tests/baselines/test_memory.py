"""The plain memory's own settings; the rest is in the contract of all detectors."""

import pytest
from conftest import drawn
from normalgen.baselines.memory import PatchMemory
from normalgen.baselines.patchcore import PatchCore

from normalgen.detectors.specs import DetectorSpec
from normalgen.errors import DataError, PresetError
from normalgen.images.sources import as_images
from normalgen.references import References


@pytest.fixture
def two() -> References:
    return References(as_images([drawn(0), drawn(1)]), "good", "part", seed=0, available=2)


def test_a_grid_finer_than_the_features_is_refused(two: References) -> None:
    with pytest.raises(PresetError, match="grid must be at most 32"):
        PatchMemory(features="cnn", grid=33).fit(two)


def test_a_coreset_smaller_than_the_number_of_images_is_refused(two: References) -> None:
    with pytest.raises(PresetError, match=r"keeps 1 of .* patches, fewer than there are images"):
        PatchCore(features="cnn", coreset_ratio=1e-5).fit(two)


def test_a_seed_is_a_number() -> None:
    with pytest.raises(PresetError, match="memory: seed must be a whole number, got 'abc'"):
        DetectorSpec.parse("memory[seed=abc]")


@pytest.mark.parametrize("given", ["device=cuda", "cache=3", "kept=1"])
def test_brackets_do_not_change_what_a_run_supplies(given: str) -> None:
    with pytest.raises(DataError, match="memory has no setting"):
        DetectorSpec.parse(f"memory[{given}]")
