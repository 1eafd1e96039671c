"""Measures of generated images, and the gate that decides which enter a pool."""
