"""Pages and pictures for people: a detection, twins, results."""
