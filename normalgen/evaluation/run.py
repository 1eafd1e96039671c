"""Works through a plan: one file per cell; a cell that has a file is not measured again."""

import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normalgen.detectors.base import Detector, ExplainingDetector, Prediction
from normalgen.detectors.own_detector import reported
from normalgen.detectors.specs import sampling
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, NormalgenError
from normalgen.evaluation.measure import by_branch, measure
from normalgen.evaluation.protocol import CellPlan, Plan, Setup
from normalgen.evaluation.setups import Made, agree_on_data, made, ready_other
from normalgen.images.images import Images
from normalgen.images.peek import need_headers
from normalgen.io.atomic import is_full
from normalgen.io.paths import sweep
from normalgen.io.peak_memory import peak_memory
from normalgen.io.progress import Watch, silent
from normalgen.io.provenance import versions
from normalgen.io.records import write_record
from normalgen.io.run_folder import agree, locked, locked_if_free
from normalgen.pool.dataset import Pool
from normalgen.pool.workers import Shard
from normalgen.references import References

__all__ = ["check", "evaluate"]

RUN = "run.json"
SOFTPATCH = 0.15
"""Share of patches that SoftPatch (Jiang et al., NeurIPS 2022) leaves out."""
NO_MASKS = "an anomalous test image has no mask, or the detector gives no maps"
_PACKAGES = ("torch", "diffusers", "open_clip_torch", "timm", "scikit-learn", "scikit-image", "pillow")
Tell = Callable[[dict[str, Any]], None]


def evaluate(
    plan: Plan, out: Path, *, shard: Shard | None = None, watch: Watch = silent, tell: Tell = lambda row: None
) -> None:
    """Measure every cell of `plan` that has no file in `out` yet.

    Any number of processes that share the disk may run at once: each takes setups that no other is working on.

    Args:
        plan: what to measure.
        out: gets `cells/` (one JSON file per cell), `made/` (models, pools, banks) and `cache/` (twins, patch vectors).
        shard: measure only this share of the setups.
        watch: receives the progress of "cells", "customize" and "generate".
        tell: called with each measured cell.

    Raises:
        DataError: `out` was made with another preset, n, device or number of test images; or, after all others are
            measured, some cells could not be, with the reason of the first.
    """
    with locked(out, wait=True):
        sweep(out, deep=False)
        check(plan, out, look=False)
    cells = [cell for setup in plan.setups(shard) for cell in plan.cells(setup)]
    pending, failed = plan.setups(shard), list[str]()

    def show() -> None:
        watch("cells", sum(cell.path(out).is_file() for cell in cells), len(cells))

    def measured(row: dict[str, Any]) -> None:
        tell(row)
        show()

    show()
    while pending:
        left = []
        for setup in pending:
            left += [] if _visit(plan, setup, out, watch, measured, failed) else [setup]
        if len(left) == len(pending):
            time.sleep(2)
        pending = left
    show()
    if failed:
        raise DataError(f"{len(failed)} of {len(cells)} cells could not be measured; the first: {failed[0]}")


def check(plan: Plan, out: Path, *, look: bool = True) -> None:
    """Check that images can be read, and `out` is empty or has the same settings and images; record them unless `look`.

    Raises:
        DataError: `out` has other settings or images, or the header of an image cannot be read.
    """
    for category in plan.categories:
        need_headers([*category.normals.items, *category.queries.items])
    record = {"settings": plan.deciding(), "versions": versions(("torch",))}
    agree(out / RUN, record, look=look, remedy="Use the same settings, or another folder")
    for setup in plan.setups():
        agree_on_data(setup, out, look=True)


def _visit(plan: Plan, setup: Setup, out: Path, watch: Watch, tell: Tell, failed: list[str]) -> bool:
    """Measure the missing cells of a setup, adding failures to `failed`; False if another process is working on it."""
    lacking = [cell for cell in plan.cells(setup) if not cell.path(out).is_file()]
    if not lacking:
        return True
    try:
        if not ready_other(plan, setup, out, watch):
            return False
        with locked_if_free(out / "made" / setup.name) as free:
            if not free:
                return False
            for left in (out / "made" / setup.name, lacking[0].path(out).parent):
                sweep(left)
            agree_on_data(setup, out, look=False)
            given = made(plan, setup, out, watch)
            for cell in [cell for cell in lacking if not cell.path(out).is_file()]:
                _write(plan, cell, given, out, tell, failed)
    except NormalgenError as error:
        failed += [f"{setup.name}: {error}"] * len(lacking)
    return True


def _write(plan: Plan, cell: CellPlan, given: Made, out: Path, tell: Tell, failed: list[str]) -> None:
    try:
        row = _measure(plan, cell, given, out / "cache")
        write_record(cell.path(out), row)
    except NormalgenError as error:
        failed.append(f"{cell.setup.name} {cell.detector.text} {cell.arm.text}: {error}")
        return
    except Exception as error:  # a user's detector may raise anything
        if isinstance(error, OSError) and is_full(error):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        name = f"{cell.setup.name} {cell.detector.text} {cell.arm.text}"
        failed.append(f"{name}: {type(error).__name__}: {error} ({where})")
        return
    tell(row)


def _measure(plan: Plan, cell: CellPlan, given: Made, cache: Path) -> dict[str, Any]:
    arm, category = cell.arm, cell.setup.category
    pool = given.banks.pool(arm)
    indices = given.banks.tested(arm)
    tests, queries = [category.tests[index] for index in indices], category.queries.take(indices)
    model = sampling(given.model, cell.detector) if cell.detector.needs_model else None
    seed, kept, drop = cell.setup.seed, given.kept, SOFTPATCH if arm.leaves_out else 0.0
    detector = cell.detector.open(seed=seed, device=plan.device, cache=cache, kept=kept, model=model, drop=drop)
    if arm.kind == "no-twins" and isinstance(detector, ExplainingDetector):
        detector, model = detector.without_model() or detector, None
    drew = arm.generates and arm.kind != "wrong"  # there another category's model drew
    used = given.model if given.model and (model or drew) else None
    begun = time.monotonic()
    detector.fit(given.references, pool)
    _refuse_trained_on(detector, category.queries)
    fitted = time.monotonic()
    prediction, branches = _predict(detector, queries, torch.tensor([t.label for t in tests]))
    seconds = {"fit": fitted - begun, "predict": time.monotonic() - fitted}
    asked = {"n": plan.n, "tests": plan.tests, "device": plan.device, "augment": given.banks.preset.augment}
    anomalous = sum(test.label for test in tests)
    measured = measure(prediction, tests)
    return {
        "cell": cell.key(),
        "role": plan.role(cell.setup),
        "metrics": measured.metrics,
        "reasons": {name: measured.unmeasured for name, value in measured.metrics.items() if value is None},
        "regions": {"all": measured.regions, "thin": measured.thin},
        "branches": branches,
        "counts": {
            "references": len(given.references.images),
            "extra": 0 if pool is None else len(pool),
            "normal": len(tests) - anomalous,
            "anomalous": anomalous,
        },
        "settings": reported(detector) | asked | ({"preset": used.preset.settings()} if used else {}),
        "digests": _digests(given.references, pool, used, queries),
        "versions": versions(_PACKAGES),
        "seconds": {name: round(value, 2) for name, value in ((given.seconds if used else {}) | seconds).items()},
        "memory_mb": _peak(),
    }


def _refuse_trained_on(detector: Detector, queries: Images) -> None:
    seen = detector.trained_on(queries) if isinstance(detector, ExplainingDetector) else []
    if seen:
        raise DataError(
            f"the text maps were trained on {len(seen)} of the {len(queries)} test images, such as {seen[0]}; "
            "train them on another data set: normalgen train-text"
        )


def _predict(detector: Detector, queries: Images, labels: Tensor) -> tuple[Prediction, dict[str, float]]:
    """The prediction, and each branch's AUROC if the detector explains its scores."""
    if not isinstance(detector, ExplainingDetector):
        return detector.predict(queries), {}
    batches = [(batch.scores, batch.maps) for batch in detector.explain(queries)]
    scores, maps = [scores for scores, _ in batches], torch.cat([maps for _, maps in batches])
    return Prediction(torch.cat([batch["fused"] for batch in scores]), maps), by_branch(scores, labels)


def _digests(references: References, pool: Pool | None, model: NormalModel | None, tests: Images) -> dict[str, Any]:
    """Digests of the shots, the images that joined them, the model that drew these or made twins, and the test images.

    Another category's model, which drew for the arm `wrong`, is left out.
    """
    named = zip(references.images.names, references.images.hashes(), strict=True)
    return {
        "references": [f"{name} {digest[:16]}" for name, digest in named],
        "joined": _joint(pool.images) if pool else None,
        "model": model.digest if model else None,
        "tests": _joint(tests),
    }


def _joint(images: Images) -> str:
    """One SHA-256 of all images' SHA-256s, in order."""
    return sha256("".join(images.hashes()).encode()).hexdigest()


def _peak() -> int | None:
    """The peak memory of this process in MiB; None if unknown."""
    held = peak_memory()
    return None if held is None else round(held / 1024**2)
