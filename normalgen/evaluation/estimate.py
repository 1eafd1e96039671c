"""Estimates what a plan will take: cells, hours, disk; from finished cells, or else from times on two cores."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from normalgen.evaluation.cells import Cell, read_cell
from normalgen.evaluation.protocol import CellPlan, Plan, Setup
from normalgen.pool.workers import Shard

__all__ = ["Estimate", "estimate"]

# Seconds on one of two CPU cores, preset `tiny`: per image of a training step, per image of a pool, per query.
SEEN, IMAGE, QUERY, OTHER = 0.06, 0.8, {"one-to-normal": 0.3, "memory": 0.05}, 0.1
# Megabytes: per model by preset and method, per PNG pixel, per image's patch vectors, and the limit of each cache.
TINY_MB, LORA_MB, FULL_MB, PIXEL_MB, PATCHES_MB, CACHE_MB = 24.7, 20.0, 1760.0, 1.5e-6, 0.38, 4000.0
VIEWS = 12
"""Images that One-to-Normal compares per reference: views of it, and views with drawn defects."""
CUSTOMIZE, POOL = "customize", "pool"  # as cells call these seconds


@dataclass(frozen=True)
class Estimate:
    """A plan's number of setups and cells, how many cells are done, the hours left, and the final megabytes.

    Attributes:
        hours: None if no cell has yet timed some of the work with the preset's weights.
        calibrated: whether all of the hours come from finished cells rather than from a two-core machine.
    """

    setups: int
    cells: int
    done: int
    hours: float | None
    megabytes: float
    calibrated: bool


def estimate(plan: Plan, out: Path, shard: Shard | None = None) -> Estimate:
    """Estimate what `plan` takes, by counting; nothing is computed or written."""
    setups = plan.setups(shard)
    cells = [cell for setup in setups for cell in plan.cells(setup)]
    lacking = [cell for cell in cells if not cell.path(out).is_file()]
    finished = [read_cell(cell.path(out)) for cell in cells if cell.path(out).is_file()]
    took, usual, wanted = _took(finished), _usual(plan), _wanted(plan, lacking, out)
    rates = usual | took
    hours = sum(rates[name] * count for name, count in wanted.items()) / 3600 if wanted.keys() <= rates.keys() else None
    disk = _megabytes(plan, setups)
    calibrated = bool(finished) and wanted.keys() <= took.keys()
    return Estimate(len(setups), len(cells), len(cells) - len(lacking), hours, disk, calibrated)


def _wanted(plan: Plan, lacking: list[CellPlan], out: Path) -> dict[str, int]:
    """How often each kind of work remains to be done: queries by detector, models, pools."""
    wanted: dict[str, int] = {}
    for cell in lacking:
        name = cell.detector.text
        wanted[name] = wanted.get(name, 0) + len(cell.setup.category.tests)
    unmade = {cell.setup.name for cell in lacking if not (out / "made" / cell.setup.name / "seconds.json").is_file()}
    made = {CUSTOMIZE: len(unmade) * plan.customizes, POOL: len(unmade) * bool(plan.drawn)}
    return wanted | {name: count for name, count in made.items() if count}


def _took(finished: list[Cell]) -> dict[str, float]:
    """Mean seconds of each kind of work in finished cells."""
    known: dict[str, list[float]] = {}
    for row in finished:
        tests = row["counts"].get("normal", 0) + row["counts"].get("anomalous", 0)
        seconds = {name: value for name, value in row["seconds"].items() if value is not None}
        if tests and {"fit", "predict"} <= seconds.keys():
            known.setdefault(row["cell"]["detector"], []).append((seconds["fit"] + seconds["predict"]) / tests)
        for name in (CUSTOMIZE, POOL):
            known.setdefault(name, []).extend([seconds[name]] if name in seconds else [])
    return {name: mean(values) for name, values in known.items() if values}


def _usual(plan: Plan) -> dict[str, float]:
    """Seconds of each kind of work on two CPU cores; empty for weights that were never run there."""
    if plan.customizes and plan.preset.name != "tiny":
        return {}
    queries = {spec.text: QUERY.get(spec.text.partition("[")[0], OTHER) for spec in plan.detectors}
    return queries | {CUSTOMIZE: plan.preset.train.steps * plan.preset.train.batch * SEEN, POOL: plan.drawn * IMAGE}


def _megabytes(plan: Plan, setups: list[Setup]) -> float:
    """Final megabytes of models, pools, arms and caches, within a factor of two."""
    preset, image = plan.preset, PIXEL_MB * plan.preset.size**2
    tiny = TINY_MB if preset.weights == "bundled" else sum(map(_size, Path(preset.weights).glob("*.safetensors")))
    model = tiny if preset.name == "tiny" else FULL_MB if preset.train.method == "full" else LORA_MB
    joined = sum(arm.size or plan.n for arm in plan.arms if arm.kind != "none")
    twinned = [detector.sampling for detector in plan.detectors if detector.needs_model]
    views = VIEWS if twinned else 1
    twins = sum(len(setup.category.tests) + views * setup.k for setup in setups) * len(twinned)
    compared = sum({setup.category.name: len(setup.category.tests) for setup in setups}.values()) + twins
    compared += sum(views * setup.k + joined for setup in setups)
    caches = min(CACHE_MB, PATCHES_MB * compared) + min(CACHE_MB, image * preset.twins.prompts * twins)
    return len(setups) * (model * plan.customizes + image * (plan.drawn + joined)) + caches


def _size(path: Path) -> float:
    return path.stat().st_size / 1e6
