import re
import time

import pytest

from normalgen.io.progress import progress_bars


def test_a_stage_that_begins_again_counts_its_own_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress_bars() as watch:
        for begun in (0.0, 1000.0):
            for step in (0, 1, 100):
                now[0] = begun + step
                watch("customize", step, 100)
            watch("cells", int(begun) // 1000, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if re.match("customize (0|100)/", line)] == [
        "customize 0/100",
        "customize 100/100, 1.0 s each",
    ] * 2
    assert "cells 1/2, 1000.0 s each, 16:40 left" in lines


def test_a_report_that_says_nothing_new_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as watch:
        for done in (0, 0, 1, 2, 2):
            watch("cells", done, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["cells 0/2", "cells 2/2"]


def test_work_that_was_done_before_shows_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as watch:
        for done in range(5):
            watch("read references", done, 4)
    assert capsys.readouterr().err == "read references 0/4\nread references 4/4\n"
