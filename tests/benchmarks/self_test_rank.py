"""Does the self-test's proxy AUROC, from drawn defects, rank setups as their true AUROC does?

Takes the cells `one-to-normal--none` of an evaluation, repeats their fit, and asks the self-test; the correlation is
Spearman's, of ranks. Proxies are kept beside the true AUROC in `proxies.json` in the same folder.

    python tests/benchmarks/self_test_rank.py --data ROOT --dataset elpv,brain-mri --shots 2,4,8 --seeds 1 evaluation
"""

import argparse
import json
from pathlib import Path

from scipy.stats import spearmanr

from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.detectors.self_test import self_test
from normalgen.evaluation.protocol import CellPlan, Plan
from normalgen.evaluation.request import ask
from normalgen.evaluation.setups import made
from normalgen.io.atomic import write_json
from normalgen.io.progress import silent
from normalgen.settings.presets import preset


def proxy(plan: Plan, cell: CellPlan, out: Path) -> dict[str, float]:
    """Proxy AUROC by branch and fused, of the detector of a cell."""
    given = made(plan, cell.setup, out, silent)
    detector = cell.detector.open(seed=cell.setup.seed, device=plan.device, cache=out / "cache", model=given.model)
    assert isinstance(detector, OneToNormal)
    detector.fit(given.references)
    return self_test(detector, given.references, seed=cell.setup.seed).overall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dataset", default="elpv,brain-mri")
    parser.add_argument("--shots", default="2,4,8")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    given = {"detectors": "one-to-normal", "arms": "none", "shots": asked.shots, "seeds": asked.seeds}
    plan = ask(asked.dataset, asked.data, preset("tiny"), **given)
    path = asked.out / "proxies.json"
    rows = json.loads(path.read_text()) if path.is_file() else {}
    for cell in [cell for setup in plan.setups() for cell in plan.cells(setup)]:
        if cell.path(asked.out).is_file() and cell.setup.name not in rows:
            true = json.loads(cell.path(asked.out).read_text())["metrics"]["image_auroc"]
            rows[cell.setup.name] = {"true": true} | proxy(plan, cell, asked.out)
            write_json(path, rows)
        if cell.setup.name in rows:
            print(
                cell.setup.name,
                {name: round(100 * value, 1) for name, value in rows[cell.setup.name].items()},
                flush=True,
            )
    found = [(row["fused"], row["true"]) for row in rows.values()]
    if len(found) > 2:
        rank, p = spearmanr(*zip(*found, strict=True))
        print(f"Spearman's rank correlation of proxy and true AUROC over {len(found)} setups: {rank:.2f} (p {p:.2f})")


if __name__ == "__main__":
    main()
