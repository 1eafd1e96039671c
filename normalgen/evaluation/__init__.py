"""Measures detectors x shots x seeds x arms on labelled data sets, one cell each, and summarizes the cells."""
