"""Ctrl-C and SIGTERM at any moment: one line, a status of its own, and no process left."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

AT_IMPORT = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            signal.raise_signal(int(sys.argv[2]))

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
from normalgen.cli import main
main(sys.argv[3:])
"""


@pytest.mark.parametrize("module", ["normalgen.cli.app", "typer", "normalgen.errors", "torch"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_modules_are_imported_ends_in_one_line(
    module: str, number: int, code: int, photos: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", AT_IMPORT, module, str(int(number)), "generate", "good", "-n", "2"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    (line,) = ended.stderr.splitlines()
    assert line == "error: stopped; finished work is kept. To resume: normalgen generate good -n 2"


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_to_the_command_alone_ends_its_workers(number: int, photos: Path, prior: Path, tmp_path: Path) -> None:
    words = [
        "generate",
        "good",
        "-n",
        "4000",
        "--no-gate",
        "--size",
        "32",
        "--augment",
        "safe",
        "--training-steps",
        "100000",
    ]
    command = [sys.executable, "-m", "normalgen", *words, "--weights", str(prior), "--devices", "cpu,cpu"]
    reset = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, **reset)  # type: ignore[call-overload]
    next(line for line in process.stderr if "| customize" in line)
    workers = children(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert len(workers) == 2
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    assert process.returncode == 128 + number
    assert said.splitlines()[-1].startswith("error: stopped; finished work is kept. To resume: normalgen generate good")
    assert "Traceback" not in said
