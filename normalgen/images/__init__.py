"""Photos: read lazily, decoded safely, augmented, and spoilt on purpose to check detectors with."""
