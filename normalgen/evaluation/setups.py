"""Makes once and keeps what all cells of a setup share: shots, a customized model, a pool, the banks of the arms."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from normalgen.customizing.auto_augment import settled
from normalgen.customizing.dreambooth import fine_tune
from normalgen.customizing.saved_models import is_customized
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps
from normalgen.diffusion.model import NormalModel
from normalgen.errors import DataError, NothingKept
from normalgen.evaluation.arms import ArmPools
from normalgen.evaluation.protocol import Plan, Setup
from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.io.records import read_json, write_record
from normalgen.io.run_folder import locked_if_free
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import fill_pool
from normalgen.pool.journal import METADATA
from normalgen.references import References, choose

__all__ = ["Made", "agree_on_data", "made", "ready_other", "shots"]

T = TypeVar("T")
SECONDS, DATA = "seconds.json", "data.json"


@dataclass(frozen=True)
class Made:
    """The inputs that all cells of a setup share.

    Attributes:
        references: the shots.
        model: customized on them; None if nothing needs one.
        banks: the arms.
        seconds: how long customizing and drawing took, in this run or an earlier one.
        kept: results that the setup's detectors share.
    """

    references: References
    model: NormalModel | None
    banks: ArmPools
    seconds: dict[str, float]
    kept: KeptMaps = field(default_factory=KeptMaps)


def shots(setup: Setup) -> References:
    """The k references: nested over k, the same for all detectors and arms."""
    category = setup.category
    named = {"dataset": category.dataset, "category": category.name, "noun": category.noun}
    return choose(category.normals, setup.k, **named, seed=setup.seed)


def agree_on_data(setup: Setup, out: Path, *, look: bool) -> None:
    """Check that a setup's files were made from the same images; unless `look`, record these images.

    Shots are compared by their bytes, the others by their names and labels.

    Raises:
        DataError: the files were made from other images.
    """
    path, category = out / "made" / setup.name / DATA, setup.category
    if look and not path.is_file():
        return
    tests = [f"{test.image.name} {test.label}" for test in category.tests]
    lists = {"normals": category.normals.names, "tests": tests, "shots": shots(setup).images.hashes()}
    digests = {name: sha256("\n".join(texts).encode()).hexdigest() for name, texts in lists.items()}
    known = read_json(path, dict[str, str], f"remove {path.parent} to make it again") or digests
    if known != digests:
        changed = " and ".join(name for name in digests if known.get(name) != digests[name])
        raise DataError(f"{path.parent} was made from other images ({changed} differ); name another folder with --out")
    if not path.is_file():
        write_record(path, digests)


def ready_other(plan: Plan, setup: Setup, out: Path, watch: Watch) -> bool:
    """Make another category's pool if the setup needs one; False if another process is making it.

    Call this without holding the setup's own lock: two setups may need each other's pools.
    """
    other = plan.other(setup)
    if not plan.wants_others or _is_drawn(plan, other, out):
        return True
    with locked_if_free(out / "made" / other.name) as free:
        if free:
            _model_and_pool(plan, other, out, watch)
        return free


def made(plan: Plan, setup: Setup, out: Path, watch: Watch) -> Made:
    """The setup's model, pool and arms, as far as the plan needs them; makes those that are missing.

    Call this with the setup's lock, after `ready_other`.
    """
    folder, references = out / "made" / setup.name, shots(setup)
    model, pool, lacking = None, None, ""
    if plan.customizes:
        model, pool, lacking = _model_and_pool(plan, setup, out, watch)
    donor = out / "made" / plan.other(setup).name / "pool"
    other = Pool.load(donor) if plan.wants_others and (donor / METADATA).is_file() else None
    given = (setup.category, references, settled(plan.preset, references), pool, other, plan.n, setup.seed, lacking)
    banks = ArmPools(folder / "arms", *given, held=plan.held, device=plan.device, cache=out / "cache")
    return Made(
        references, model, banks, _Seconds(folder / SECONDS).read(), KeptMaps(block=1) if plan.streams else KeptMaps()
    )


def _is_drawn(plan: Plan, setup: Setup, out: Path) -> bool:
    folder = out / "made" / setup.name / "pool"
    return Pool.is_whole(folder) and len(Pool.load(folder)) >= plan.drawn


def _model_and_pool(plan: Plan, setup: Setup, out: Path, watch: Watch) -> tuple[NormalModel, Pool | None, str]:
    """The model, the pool, and the reason if there is no pool."""
    folder, references = out / "made" / setup.name, shots(setup)
    seconds = _Seconds(folder / SECONDS)

    def customized() -> NormalModel:
        return fine_tune(references, plan.preset, folder / "model", seed=setup.seed, device=plan.device, watch=watch)

    def drawn() -> Pool:
        return fill_pool(model, references, plan.drawn, folder / "pool", seed=setup.seed, watch=watch)

    model = seconds.of("customize", customized, is_customized(folder / "model"))
    if not plan.drawn:
        return model, None, "none was asked for"
    try:
        return model, seconds.of("pool", drawn, _is_drawn(plan, setup, out)), ""
    except NothingKept as error:  # the other arms can be measured
        return model, None, str(error)


class _Seconds:
    """Seconds of each stage over all attempts, kept for cells of later runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, float]:
        try:
            return read_json(self.path, dict[str, float], "") or {}
        except DataError:
            note(f"{self.path} is damaged; the seconds spent before are forgotten")
            return {}

    def of(self, stage: str, work: Callable[[], T], done: bool) -> T:
        begun = time.monotonic()
        try:
            return work()
        finally:
            if not done:
                known = self.read()
                write_record(self.path, known | {stage: round(known.get(stage, 0) + time.monotonic() - begun, 1)})
