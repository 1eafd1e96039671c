"""What detectors and measures look at: patch and image features of frozen networks."""

from normalgen.features.embedded import STATISTICS, EmbeddedFeatures

__all__ = ["STATISTICS", "EmbeddedFeatures"]
