"""Categories of normal and anomalous images: your own folders, and the published data sets."""
