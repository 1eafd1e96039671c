"""Detectors x shots x seeds x arms on labelled data sets, one measured cell each; and what the cells say together."""
