"""Pools: anomaly-free images as a Hugging Face data set.

The pool's folder holds only `images/00000.png ...`, `metadata.jsonl` (one row per image) and `README.md` (the data-set
card), so tools can take every image in it. The records of `pools/nut` are in `pools/nut.normalgen`: `run.json` (every
setting), `gate.json` (the gate's cut-offs), `candidates.jsonl` (one verdict per candidate), `rejected/`, the contact
sheet, `quality.json`, the lock, and `drawn/` while several workers draw. A pool also loads without its records. An
image is named after its candidate's index, so the numbers of rejected candidates are missing.
"""
