"""Files, folders and caches on disk; random numbers from keys; progress; what wrote a record."""
