"""Seconds and memory of fitting PaDiM on 8 images with 550 channels, beside anomalib's, each in a fresh process.

Run with: pytest -m benchmark -s tests/benchmarks/test_padim_cost.py, after pip install 'normalgen[interop]'; anomalib
needs 12 GB (NORMALGEN_BENCHMARK_SIZE=112: 3 GB).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from conftest import drawn
from safetensors.torch import save_file

pytest.importorskip("anomalib", reason="pip install 'normalgen[interop]'")
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600), pytest.mark.filterwarnings("ignore")]

SIZE = int(os.environ.get("NORMALGEN_BENCHMARK_SIZE", "224"))

START = """
import sys, time, torch
from pathlib import Path
from normalgen.images.images import Images
from normalgen.references import References
def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
def start():
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of opening the network
    return memory("VmRSS"), time.monotonic()
folder, size = Path(sys.argv[1]), int(sys.argv[2])
references = References(Images.from_folder(folder / "good"), "good", "part", seed=0, available=8)
"""

OURS = """
from normalgen.baselines.padim import PaDiM
detector = PaDiM.paper(f"timm:wide_resnet50_2:{folder / 'weights.safetensors'}", features_size=size, border=0)
network = detector.network()
network.tokens(torch.zeros(1, 3, size, size))
detector.network = lambda: network
before, begun = start()
detector.fit(references)
"""

THEIRS = """
from anomalib.models.image.padim.torch_model import PadimModel
model = PadimModel(backbone="wide_resnet50_2", pre_trained=False, n_features=550)
model(torch.zeros(1, 3, size, size))
model.memory_bank = []
before, begun = start()
for images in references.images.batches(size):
    model(images)
model.fit()
"""

END = """
print(time.monotonic() - begun, memory("VmHWM") - before)
"""


def cost(code: str, folder: Path) -> tuple[float, float]:
    """Return seconds, and MB above the opened network."""
    words = [sys.executable, "-W", "ignore", "-c", START + code + END, str(folder), str(SIZE)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def test_a_fit_takes_a_fifth_of_anomalibs_time_and_a_tenth_of_its_memory(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for seed in range(8):
        drawn(seed).save(tmp_path / "good" / f"{seed}.png")
    with torch.random.fork_rng(devices=[]):
        save_file(timm.create_model("wide_resnet50_2").state_dict(), tmp_path / "weights.safetensors")
    (seconds, memory), (their_seconds, their_memory) = (cost(code, tmp_path) for code in (OURS, THEIRS))
    print(f"\n{SIZE} px: {seconds:.1f} s and {memory:.0f} MB; anomalib {their_seconds:.1f} s and {their_memory:.0f} MB")
    print(f"{their_seconds / seconds:.1f} times as fast, 1/{their_memory / memory:.0f} of the memory")
    assert their_seconds >= 5 * seconds
    assert their_memory >= 10 * memory
