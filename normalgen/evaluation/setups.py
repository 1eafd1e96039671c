"""What all cells of a setup share: shots, a customized model, a pool, and the banks of the arms; made once, kept."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from normalgen.customize import customize
from normalgen.diffusion.model import NormalModel
from normalgen.evaluation.arms import Banks
from normalgen.evaluation.protocol import Plan, Setup
from normalgen.files import write_json
from normalgen.pool import Pool, generate_pool
from normalgen.presets import change
from normalgen.record import locked
from normalgen.references import References, choose
from normalgen.watch import Watch

__all__ = ["Made", "made", "shots"]

T = TypeVar("T")
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Made:
    """What a setup's cells start from.

    Attributes:
        references: the shots.
        model: customized on them; None if nothing asks for one.
        banks: the arms.
        seconds: that customizing and drawing took, whenever that was.
    """

    references: References
    model: NormalModel | None
    banks: Banks
    seconds: dict[str, float]


def shots(setup: Setup) -> References:
    """The k references: nested over k, the same for all detectors and arms."""
    category = setup.category
    named = {"dataset": category.dataset, "category": category.name, "noun": category.noun}
    return choose(category.normals, setup.k, **named, seed=setup.seed)


def made(plan: Plan, setup: Setup, out: Path, watch: Watch) -> Made:
    """Customize, draw the pool and ready the arms, as far as the plan asks for them and they are not there."""
    folder, references = out / "made" / setup.name, shots(setup)
    seconds = _Seconds(folder / SECONDS)
    model, pool = _model_and_pool(plan, setup, out, watch) if plan.customizes else (None, None)
    other = None
    if "wrong" in {arm.kind for arm in plan.arms}:
        donor = plan.other(setup)
        with locked(out / "made" / donor.name, wait=True):
            other = _model_and_pool(plan, donor, out, watch)[1]
    given = (setup.category, references, plan.preset, pool, other, plan.n, setup.seed)
    return Made(references, model, Banks(folder / "arms", *given), seconds.read())


def _model_and_pool(plan: Plan, setup: Setup, out: Path, watch: Watch) -> tuple[NormalModel, Pool | None]:
    folder, references = out / "made" / setup.name, shots(setup)
    seconds = _Seconds(folder / SECONDS)
    # Augmented photos are an arm of their own: a pool that held some would be measured twice.
    preset = change(plan.preset, plain=0.0)

    def customized() -> NormalModel:
        return customize(references, preset, folder / "model", seed=setup.seed, device=plan.device, watch=watch)

    def drawn() -> Pool:
        return generate_pool(model, references, plan.drawn, folder / "pool", seed=setup.seed, watch=watch)

    model = seconds.of("customize", customized)
    return model, seconds.of("pool", drawn) if plan.drawn else None


class _Seconds:
    """How long each stage took, when it did something; kept, for cells of later runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, float]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}

    def of(self, stage: str, work: Callable[[], T]) -> T:
        begun = time.monotonic()
        done = work()
        took, known = time.monotonic() - begun, self.read()
        if took > known.get(stage, 0):
            write_json(self.path, known | {stage: round(took, 1)})
        return done
