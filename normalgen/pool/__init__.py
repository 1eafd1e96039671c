"""Pools: anomaly-free images as a Hugging Face data set.

The pool's folder holds `images/00000.png ...`, `metadata.jsonl` (a row per image) and `README.md` (the data-set card),
nothing else: tools that take every image below it take the pool. Its records lie beside it, those of `pools/nut` in
`pools/nut.normalgen`: `run.json` (every setting), `gate.json` (its cut-offs), `candidates.jsonl` (a verdict per
candidate), `rejected/`, the contact sheet, `quality.json`, the lock, and `drawn/` while several workers are at it. A
pool that is handed on without them loads all the same. An image is called by its candidate's index, so numbers are
missing where one was rejected.
"""
