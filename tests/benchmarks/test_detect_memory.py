"""What detection costs in memory and time, on random images, branch n alone.

Run with: pytest -m benchmark -s tests/benchmarks/test_detect_memory.py (NORMALGEN_BENCHMARK_QUERIES=200: shorter)
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(36_000)]

MANY = int(os.environ.get("NORMALGEN_BENCHMARK_QUERIES", "2000"))
FEW = MANY // 10

CODE = """
import io, resource, sys, time
from functools import partial
from pathlib import Path
import numpy as np
from PIL import Image
from normalgen.report.detection_run import write_detection
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.pool.dataset import Pool
from normalgen.data.queries import Queries
from normalgen.references import References
from normalgen.detectors.conformal import Threshold

def png(seed):
    values = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((256, 256), Image.Resampling.BICUBIC).save(file, format="png", compress_level=1)
    return file.getvalue()

def images(seeds):
    return Images([ImageItem(f"{seed}.png", f"{seed}.png", partial(png, seed)) for seed in seeds])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

bank, count = map(int, sys.argv[1:])
folder = Path("pool")
folder.mkdir()
rows = [{"file_name": f"{i}.png", "reference": f"{i % 2}.png", "category": "part"} for i in range(2, bank)]
for row in rows:
    (folder / row["file_name"]).write_bytes(png(int(row["file_name"][:-4])))
references = References(images(range(2)), "part", "part", None, 2)
begun = time.monotonic()
detector = OneToNormal(branches=("n",)).fit(references, Pool(folder, tuple(rows)))
fitted, fit_peak = time.monotonic(), peak()
queries = Queries(images(range(bank, bank + count)), (None,) * count)
write_detection(detector, queries, Threshold(detector.left_out, 0.1, "approximate"), Path("out"), "part")
print(peak(), fit_peak, fitted - begun, (time.monotonic() - fitted) / count)
"""


def cost(folder: Path, bank: int, queries: int) -> tuple[int, float]:
    """Peak resident memory in MB, and seconds a query, of a fresh process."""
    folder.mkdir()
    words = [sys.executable, "-c", CODE, str(bank), str(queries)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    peak, fit_peak, fit, seconds = map(float, done.stdout.split())
    print(
        f"\nbank of {bank}, {queries} queries: {peak:.0f} MB ({fit_peak:.0f} MB after fitting, {fit:.0f} s), ", end=""
    )
    print(f"{seconds:.2f} s a query")
    return int(peak), seconds


def test_memory_is_flat_in_the_number_of_queries(tmp_path: Path) -> None:
    few, many = (cost(tmp_path / str(count), 4, count)[0] for count in (FEW, MANY))
    assert many <= 1.1 * few


def test_a_bank_of_1000_images_fits_into_3_gb(tmp_path: Path) -> None:
    few, many = (cost(tmp_path / str(count), 1000, count)[0] for count in (8, 24))
    assert many <= 3000
    assert many <= 1.1 * few
