"""Detectors x shots x seeds x banks, on labelled data sets: one measured cell each."""

from normalgen.evaluation.arms import ARMS, Arm
from normalgen.evaluation.detectors import DETECTORS, DetectorSpec
from normalgen.evaluation.protocol import Cell, Plan, Setup
from normalgen.evaluation.run import check, evaluate

__all__ = ["ARMS", "DETECTORS", "Arm", "Cell", "DetectorSpec", "Plan", "Setup", "check", "evaluate"]
