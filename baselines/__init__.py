"""Published detectors, one a file, each behind the Detector contract; imported as normalgen.baselines."""
