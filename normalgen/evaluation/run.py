"""Working through a plan: one file a cell; what is there is not made again."""

import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import normalgen
from normalgen.detector import Detector, Prediction
from normalgen.evaluation.detectors import fit, sampling
from normalgen.evaluation.measure import by_branch, measure
from normalgen.evaluation.protocol import Cell, Plan, Setup
from normalgen.evaluation.setups import Made, made
from normalgen.files import write_json
from normalgen.images import Images
from normalgen.one_to_normal import OneToNormal
from normalgen.pool import Shard
from normalgen.record import agree, locked_if_free
from normalgen.watch import Watch, silent

__all__ = ["evaluate"]

RUN = "run.json"
Tell = Callable[[dict[str, Any]], None]


def evaluate(
    plan: Plan, out: Path, *, shard: Shard | None = None, watch: Watch = silent, tell: Tell = lambda row: None
) -> None:
    """Measure every cell of `plan` that has no file in `out` yet.

    Any number of processes may do so at once, on disks that all see: each takes setups that no other is at.

    Args:
        plan: what to measure.
        out: gets `cells/` (a JSON file each), `made/` (models, pools, banks) and `cache/` (twins, patch vectors).
        shard: only this share of the setups.
        watch: told of the stage "cells", of "customize" and of "generate".
        tell: given each cell that was measured.

    Raises:
        DataError: `out` was made with another preset, n or number of test images.
    """
    agree(out / RUN, {"settings": plan.deciding(), "normalgen": normalgen.__version__, "torch": torch.__version__})
    pending = plan.setups(shard)
    total = sum(1 for setup in pending for _ in plan.cells(setup))
    while pending:
        left = []
        for setup in pending:
            with locked_if_free(out / "made" / setup.name) as free:
                if free:
                    _measure_setup(plan, setup, out, watch, tell)
                else:
                    left.append(setup)
            there = sum(cell.path(out).is_file() for each in plan.setups(shard) for cell in plan.cells(each))
            watch("cells", there, total)
        if len(left) == len(pending):
            time.sleep(2)
        pending = left


def _measure_setup(plan: Plan, setup: Setup, out: Path, watch: Watch, tell: Tell) -> None:
    lacking = [cell for cell in plan.cells(setup) if not cell.path(out).is_file()]
    if not lacking:
        return
    given = made(plan, setup, out, watch)
    for cell in lacking:
        row = _measure(plan, cell, given, out / "cache")
        write_json(cell.path(out), row)
        tell(row)


def _measure(plan: Plan, cell: Cell, given: Made, cache: Path) -> dict[str, Any]:
    arm, category = cell.arm, cell.setup.category
    pool = given.banks.pool(arm)
    places = given.banks.tested(arm)
    tests = [category.tests[place] for place in places]
    twins = arm.kind != "no-twins"
    detector = cell.detector.open(seed=cell.setup.seed, device=plan.device, cache=cache, twins=twins)
    model = sampling(given.model, cell.detector)
    begun = time.monotonic()
    fit(detector, given.references, pool, model)
    fitted = time.monotonic()
    prediction, branches = _predict(detector, category.queries.take(places), torch.tensor([t.label for t in tests]))
    seconds = {"fit": fitted - begun, "predict": time.monotonic() - fitted}
    anomalous = sum(test.label for test in tests)
    return {
        "cell": cell.key(),
        "role": plan.role(cell.setup),
        "metrics": measure(prediction, tests),
        "branches": branches,
        "counts": {
            "references": len(given.references.images),
            "extra": 0 if pool is None else len(pool),
            "normal": len(tests) - anomalous,
            "anomalous": anomalous,
        },
        "settings": _settings(detector) | {"preset": plan.preset.settings(), "n": plan.n},
        "digests": _digests(given, category.dataset),
        "versions": _versions(),
        "seconds": {name: round(value, 2) for name, value in (given.seconds | seconds).items()},
        "memory_mb": _peak(),
    }


def _predict(detector: Detector, queries: Images, labels: Tensor) -> tuple[Prediction, dict[str, float]]:
    """A prediction, and for One-to-Normal the AUROC of each branch; batches are let go of as they come."""
    if not isinstance(detector, OneToNormal):
        return detector.predict(queries), {}
    found = [(each.scores, each.maps) for each in detector.explain(queries)]
    scores, maps = [scores for scores, _ in found], torch.cat([maps for _, maps in found])
    return Prediction(torch.cat([each["fused"] for each in scores]), maps), by_branch(scores, labels)


def _settings(detector: Detector) -> dict[str, Any]:
    """What the detector says of itself; of one that says nothing, its plain attributes."""
    if hasattr(detector, "settings"):
        found: dict[str, Any] = detector.settings()
        return found
    plain = (str, int, float, bool)
    return {name: value for name, value in vars(detector).items() if isinstance(value, plain) and name[-1] != "_"}


def _digests(given: Made, dataset: str) -> dict[str, Any]:
    shots = [
        f"{name} {digest}"
        for name, digest in zip(given.references.images.names, given.references.images.hashes(), strict=True)
    ]
    return {"references": shots, "model": given.model.digest if given.model else None}


def _versions() -> dict[str, str]:
    packages = ("torch", "diffusers", "timm", "scikit-learn", "scikit-image", "pillow")
    return {"normalgen": normalgen.__version__, "python": sys.version.split()[0]} | {p: version(p) for p in packages}


def _peak() -> int:
    """The most memory this process ever held, MB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (1024 if sys.platform != "darwin" else 1024**2))
