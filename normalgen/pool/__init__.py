"""Pools: anomaly-free images as a Hugging Face data set.

`images/00000.png ...`, `metadata.jsonl` (a row an image), `README.md` (the data-set card), and aside, where no data
loader looks, in `__normalgen__/`: `run.json` (every setting), `gate.json` (its cut-offs), `candidates.jsonl` (a verdict
a candidate), `rejected/`, the contact sheet, and `drawn/` while several workers are at it. An image is called by its
candidate's index, so numbers are missing where one was rejected.
"""

from normalgen.pool.folder import Pool, Rejected
from normalgen.pool.ledger import ASIDE, METADATA, REJECTED
from normalgen.pool.make import RUN, check_pool, draw_shard, generate_pool, merge_pool
from normalgen.pool.plan import Candidate, candidate
from normalgen.pool.shards import Shard
from normalgen.pool.write import write_pool

__all__ = [
    "ASIDE",
    "METADATA",
    "REJECTED",
    "RUN",
    "Candidate",
    "Pool",
    "Rejected",
    "Shard",
    "candidate",
    "check_pool",
    "draw_shard",
    "generate_pool",
    "merge_pool",
    "write_pool",
]
