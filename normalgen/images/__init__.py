"""Photos: read lazily, decoded safely, augmented, and given drawn defects to check detectors."""
