"""Which generated images are believed, and how good a set of them is."""

from normalgen.quality.bars import Line, lines
from normalgen.quality.compare import compare
from normalgen.quality.gate import REASONS, Gate, Verdict
from normalgen.quality.measures import Measures, measure

__all__ = ["REASONS", "Gate", "Line", "Measures", "Verdict", "compare", "lines", "measure"]
