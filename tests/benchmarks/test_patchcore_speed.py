"""PatchCore's coreset and scoring against anomalib's (extra `interop`), and a bank of 1000 pool images.

Run with: pytest -m benchmark -s tests/benchmarks/test_patchcore_speed.py
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from normalgen.features.coreset import greedy_coreset, radius
from normalgen.features.memory_bank import MemoryBank

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

ROUNDS = 3

FIT = """
import io, resource, sys, time
from functools import partial
from pathlib import Path
import numpy as np
from PIL import Image
from normalgen.baselines.patchcore import PatchCore
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.references import References

def png(seed):
    values = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((256, 256), Image.Resampling.BICUBIC).save(file, format="png", compress_level=1)
    return file.getvalue()

photos = [ImageItem(f"{seed}.png", f"{seed}.png", partial(png, seed)) for seed in range(2)]
references = References(Images(photos), "part", "part", None, 2)
rows = [{"file_name": f"{i}.png", "reference": f"{i % 2}.png", "category": "part"} for i in range(2, 1002)]
for row in rows:
    Path(row["file_name"]).write_bytes(png(int(row["file_name"][:-4])))
begun = time.monotonic()
detector = PatchCore(coreset_ratio=0.01).fit(references, Pool(Path(), tuple(rows)))
print(len(detector.bank_), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, time.monotonic() - begun)
"""


def patches(count: int, channels: int = 1024, seed: int = 0) -> Tensor:
    """Vectors as networks give them: 40 kinds of patches that vary in 48 directions, rectified, with little noise."""
    draw = torch.Generator().manual_seed(0)
    directions, kinds = torch.randn(48, channels, generator=draw) / 7, 2 * torch.randn(40, 48, generator=draw)
    draw = torch.Generator().manual_seed(seed)
    inside = kinds[torch.randint(40, (count,), generator=draw)] + torch.randn(count, 48, generator=draw)
    return (inside @ directions + 0.1 * torch.randn(count, channels, generator=draw)).relu()


def theirs(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("anomalib", reason="pip install -e '.[interop]'", exc_type=ImportError)
        from anomalib.models.components import KCenterGreedy
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    return {"coreset": KCenterGreedy, "model": PatchcoreModel}[name]


def fastest(**contestants: Callable[[], object]) -> dict[str, float]:
    """Processor seconds of the cheapest of a few runs, taken in turns; other work hardly changes them."""
    best = dict.fromkeys(contestants, float("inf"))
    with torch.random.fork_rng(devices=[]):
        for _ in range(ROUNDS):
            for name, run in contestants.items():
                begun = time.process_time()
                run()
                best[name] = min(best[name], time.process_time() - begun)
    return best


def peak(run: Callable[[], object]) -> float:
    """Most memory in MB that `run` adds to this process."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        pytest.skip("peaks of memory are measured on Linux")
    reset.write_text("5")
    before = status.read_text().split("VmRSS:")[1].split()[0]
    run()
    return (int(status.read_text().split("VmHWM:")[1].split()[0]) - int(before)) / 1e3


def test_a_coreset_takes_half_of_anomalibs_time_and_has_no_larger_radius() -> None:
    vectors, greedy = patches(20_000), theirs("coreset")
    chosen: dict[str, Tensor] = {}

    def ours() -> None:
        chosen["ours"] = greedy_coreset(vectors, 2000)

    def anomalibs() -> None:
        chosen["anomalib"] = torch.tensor(greedy(vectors, 0.1).select_coreset_idxs())

    seconds = fastest(ours=ours, anomalib=anomalibs)
    radii = {name: radius(vectors, indices) for name, indices in chosen.items()}
    print(f"\ncoreset: {seconds}, {seconds['anomalib'] / seconds['ours']:.1f} times as fast; radius {radii}")
    assert all(len(indices) == 2000 for indices in chosen.values())
    assert seconds["ours"] <= seconds["anomalib"] / 2
    assert radii["ours"] <= radii["anomalib"]


def test_scoring_is_no_slower_than_anomalibs_in_half_the_memory() -> None:
    vectors, queries = patches(20_000), patches(8 * 784, seed=1)
    with torch.random.fork_rng(devices=[]):
        model = theirs("model")(["layer2"], "resnet18", pre_trained=False)
    model.memory_bank = vectors
    bank = MemoryBank(vectors)
    runs: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: bank.distances(queries),
        "anomalib": lambda: model.nearest_neighbors(queries, n_neighbors=1)[0],
    }
    assert torch.allclose(runs["ours"](), runs["anomalib"](), atol=1e-2)
    seconds, memory = fastest(**runs), {name: peak(run) for name, run in runs.items()}
    print(f"\nscoring: {seconds}, {seconds['anomalib'] / seconds['ours']:.2f} times as fast; MB {memory}")
    assert seconds["ours"] <= seconds["anomalib"]
    assert memory["ours"] <= memory["anomalib"] / 2


def test_a_bank_of_1000_pool_images_fits_into_4_gb(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FIT], cwd=tmp_path, capture_output=True, text=True, check=True)
    kept, memory, seconds = map(float, done.stdout.split())
    print(f"\n1000 pool images at ratio 0.01: {kept:.0f} patches kept, {memory:.1f} GB, {seconds:.0f} s")
    assert memory <= 4
