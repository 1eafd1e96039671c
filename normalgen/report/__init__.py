"""Pages and pictures of detections, twins and results, for people."""
