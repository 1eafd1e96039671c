"""One reader per published data set, each returning a `Category`."""
