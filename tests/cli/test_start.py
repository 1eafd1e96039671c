"""Mistakes are answered before torch, which takes seconds, is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import drawn

CODE = """
import sys
from normalgen.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "words",
    [
        "generate",
        "generate absent",
        "generate good --size 7",
        "generate good --preset nope",
        "detect absent --references good",
        "detect good --references absent",
        "detect good --references good --calibrate absent",
        "personalize absent --model absent",
        "detect good --references good --detector patchcor",
        "detect good --references good --detector memory --branches n",
        "evaluate --dataset folder --data . --detectors patchcor",
        "evaluate --dataset nope",
        "results absent",
    ],
)
def test_a_mistake_is_answered_without_torch(words: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for seed in range(2):
        drawn(seed).save(tmp_path / "good" / f"{seed}.png")
    ended = subprocess.run(
        [sys.executable, "-c", CODE, *words.split()], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    code, loaded = ended.stdout.split()[-2:]
    assert code != "0"
    assert loaded == "False", ended.stderr


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, normalgen, normalgen.references; print({'torch', 'diffusers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
