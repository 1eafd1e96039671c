"""Drawn tuning sets (see `../tuning_sets.py`), with the shapes and the noise of `../prior/scene.py`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "prior"))
