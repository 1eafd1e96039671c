"""What `generate` costs, full size, with the bundled prior. Run with: pytest -m benchmark -s"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.settings.presets import preset
from normalgen.settings.prompts import INSTANCE_PROMPT

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3000)]

CODE = """
import resource, sys
from normalgen.cli import main
try: main(sys.argv[1:])
finally: print("peak MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_and_seconds(folder: Path, *words: str) -> tuple[int, float]:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", CODE, *words], cwd=folder, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]), time.monotonic() - begun


def test_readme_command_1(tmp_path: Path) -> None:
    peak, seconds = peak_and_seconds(tmp_path, *"generate --category elpv-mono -n 100".split())
    print(f"\ngenerate --category elpv-mono -n 100: {seconds:.0f} s, {peak} MB at most")
    assert peak <= 3000
    assert seconds <= 480


def test_memory_is_flat_in_n(tmp_path: Path) -> None:
    quick = "generate --category elpv-mono --training-steps 1 --sampling-steps 2 --mix 1 --strength 0.5".split()
    peaks = [peak_and_seconds(tmp_path, *quick, "-n", str(n))[0] for n in (100, 1000)]
    print(f"\npeak memory for 100 and 1000 images: {peaks} MB")
    assert peaks[1] <= 1.05 * peaks[0]


def test_a_batch_of_eight_is_faster_than_one_and_agrees() -> None:
    model = NormalModel(open_parts("bundled"), preset("tiny", sample={"steps": 5}), category="", noun="part")
    prompts = [INSTANCE_PROMPT] * 8
    model.sample([0], prompts=prompts[:1], seed=0)
    ratios = []
    for _ in range(3):
        begun = time.perf_counter()
        together = model.sample(range(8), prompts=prompts, seed=0)
        between = time.perf_counter()
        alone = [model.sample([i], prompts=prompts[:1], seed=0)[0] for i in range(8)]
        ratios.append((time.perf_counter() - between) / (between - begun))
    agreed = min(
        ((one - other).abs() <= 1 / 255).float().mean().item() for one, other in zip(together, alone, strict=True)
    )
    print(f"\nbatch 8 against batch 1: {sorted(ratios)[1]:.2f} x as many images a second; {agreed:.4%} within 1/255")
    assert agreed >= 0.999
    assert sorted(ratios)[1] >= 1.3


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "normalgen", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    bare = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    bare = time.perf_counter() - bare
    print(f"\nnormalgen --help: {sorted(times)[2]:.2f} s (Python itself {bare:.2f} s)")
    assert sorted(times)[2] <= 0.5
