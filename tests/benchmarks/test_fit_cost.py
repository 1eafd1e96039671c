"""What fitting a detector costs in processor time and memory, by the number of references, preset tiny, branches p, n.

Run with: pytest -m benchmark -s tests/benchmarks/test_fit_cost.py
"""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(36_000)]

CODE = """
import io, resource, sys, time
from functools import partial
import numpy as np
from PIL import Image
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.diffusion.loading import open_parts
from normalgen.diffusion.model import NormalModel
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.references import References
from normalgen.settings.presets import preset

def png(seed):
    values = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((256, 256), Image.Resampling.BICUBIC).save(file, format="png", compress_level=1)
    return file.getvalue()

def references(count):
    items = [ImageItem(f"{seed}.png", f"{seed}.png", partial(png, seed)) for seed in range(count)]
    return References(Images(items), "part", "part", None, count)

settings = preset("tiny", augment="safe")
model = NormalModel(open_parts(settings.weights), settings, category="part", noun="part", device="cpu")
OneToNormal(model=model).fit(references(1))
begun = time.process_time()
OneToNormal(model=model).fit(references(int(sys.argv[1])))
print(time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def cost(count: int) -> tuple[float, int]:
    """Processor seconds, and peak resident memory in MB, of a fit on `count` references in a fresh process."""
    words = [sys.executable, "-c", CODE, str(count)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    print(f"\n{count} references: {float(seconds):.0f} processor seconds, {peak} MB")
    return float(seconds), int(peak)


def test_forty_times_the_references_cost_less_than_ten_times_the_work() -> None:
    (few, _), (many, peak) = cost(8), cost(320)
    assert many <= 10 * few
    assert peak <= 3000


def test_memory_hardly_depends_on_the_number_of_references() -> None:
    (_, few), (_, many) = cost(4), cost(100)
    assert many <= few + 300
