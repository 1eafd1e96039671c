"""Files, folders and caches on disk; random numbers from keys; progress; the versions that wrote a record."""
