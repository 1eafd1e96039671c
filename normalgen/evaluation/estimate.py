"""What a plan will take: cells, hours, disk; from what finished cells took, else from what they took on two cores."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from normalgen.evaluation.protocol import Plan, Setup
from normalgen.pool import Shard

__all__ = ["Estimate", "estimate"]

# Seconds on one of two CPU cores, preset `tiny`: an image of a training step, of a pool, a query by detector and arm.
SEEN, IMAGE, QUERY = 0.06, 0.8, {"one-to-normal": 0.3, "memory": 0.05}
TINY_MB, LORA_MB, FULL_MB, PATCHES_MB = 26.0, 20.0, 1760.0, 4000.0
PIXEL_MB = 1.5e-6
"""Of a PNG."""


@dataclass(frozen=True)
class Estimate:
    """Of a plan: how many setups and cells, how many of them are done, hours left, megabytes in the end.

    Attributes:
        hours: None where nothing is known of the preset's weights on this machine before a cell is finished.
        calibrated: whether the hours come from finished cells rather than from a two-core machine's.
    """

    setups: int
    cells: int
    done: int
    hours: float | None
    megabytes: float
    calibrated: bool


def estimate(plan: Plan, out: Path, shard: Shard | None = None) -> Estimate:
    """Count; nothing is computed, and nothing written."""
    setups = plan.setups(shard)
    cells = [cell for setup in setups for cell in plan.cells(setup)]
    lacking = [cell for cell in cells if not cell.path(out).is_file()]
    finished = [json.loads(cell.path(out).read_text()) for cell in cells if cell.path(out).is_file()]
    known: dict[str, list[float]] = {}
    for row in finished:
        tests = row["counts"]["normal"] + row["counts"]["anomalous"]
        seconds = row["seconds"]["fit"] + row["seconds"]["predict"]
        known.setdefault(row["cell"]["detector"], []).append(seconds / tests)
    total = 0.0
    for cell in lacking:
        name = cell.detector.text
        usual = QUERY.get(name.partition("[")[0], 0.1)
        total += len(cell.setup.category.tests) * (mean(known[name]) if name in known else usual)
    unmade = {cell.setup.name for cell in lacking if not (out / "made" / cell.setup.name / "seconds.json").is_file()}
    if plan.customizes:
        steps = [row["seconds"]["customize"] for row in finished if "customize" in row["seconds"]]
        total += (
            len(unmade) * (mean(steps) if steps else plan.preset.training_steps * plan.preset.batch * SEEN)
            + len(unmade) * plan.drawn * IMAGE
        )
    disk = sum(_megabytes(plan, setup) for setup in setups) + PATCHES_MB
    hours = total / 3600 if known or plan.preset.name == "tiny" or not plan.customizes else None
    return Estimate(len(setups), len(cells), len(cells) - len(lacking), hours, disk, bool(known))


def _megabytes(plan: Plan, setup: Setup) -> float:
    """What a setup keeps: its model, the pool, the arms' images and the twins."""
    preset = plan.preset
    image = PIXEL_MB * preset.size**2
    model = TINY_MB if preset.name == "tiny" else FULL_MB if preset.method == "full" else LORA_MB
    several = sum(detector.needs_model for detector in plan.detectors)
    twins = image * preset.twin_prompts * len(setup.category.tests) * several
    return model * plan.customizes + image * (plan.drawn + plan.n * len(plan.arms)) + twins
