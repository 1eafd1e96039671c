"""The detector protocol, and what detectors share: metrics, thresholds, the self-test."""
