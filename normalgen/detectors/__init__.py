"""What a detector is, and the parts that detectors share: metrics, thresholds, the self-test."""
