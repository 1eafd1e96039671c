"""Published detectors, one per file, each with the Detector contract; imported as normalgen.baselines."""
