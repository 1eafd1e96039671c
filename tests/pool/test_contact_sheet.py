from pathlib import Path

import pytest

from normalgen.diffusion.model import NormalModel
from normalgen.pool.contact_sheet import PoolSheet
from normalgen.references import References
from normalgen.settings.presets import Preset, change


@pytest.mark.parametrize(("mix", "modes"), [(1.0, {"restore"}), (0.0, {"sample"}), (0.5, {"restore", "sample"})])
def test_a_preview_draws_what_the_pool_will_hold_and_no_more(
    model: NormalModel,
    small: Preset,
    references: References,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mix: float,
    modes: set[str],
) -> None:
    drawn: set[str] = set()
    for name in ("restore", "sample"):
        real = getattr(NormalModel, name)

        def watched(*args: object, name: str = name, real: object = real, **kwargs: object) -> object:
            drawn.add(name)
            return real(*args, **kwargs)  # type: ignore[operator]

        monkeypatch.setattr(NormalModel, name, watched)
    sheet = PoolSheet(tmp_path, references, change(small, pool={"mix": mix}), seed=0)
    sheet.write(model)
    assert drawn == modes
    assert sheet.path.is_file()
