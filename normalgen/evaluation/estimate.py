"""What a plan will take: cells, hours, disk; from what finished cells took, else from what they took on two cores."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from normalgen.evaluation.protocol import Plan
from normalgen.pool import Shard

__all__ = ["Estimate", "estimate"]

# Seconds on one of two CPU cores, preset `tiny`: an image of a training step, of a pool, a query by detector and arm.
SEEN, IMAGE, QUERY = 0.06, 0.8, {"one-to-normal": 0.6, "memory": 0.05}
MODEL_MB, IMAGE_MB = 26.0, 0.15


@dataclass(frozen=True)
class Estimate:
    """Of a plan: how many setups and cells, how many of them are done, hours left, megabytes in the end.

    Attributes:
        calibrated: whether the hours come from finished cells rather than from a two-core machine's.
    """

    setups: int
    cells: int
    done: int
    hours: float
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
    disk = len(setups) * (MODEL_MB * plan.customizes + IMAGE_MB * (plan.drawn + plan.n * len(plan.arms)))
    return Estimate(len(setups), len(cells), len(cells) - len(lacking), total / 3600, disk + 4000, bool(known))
