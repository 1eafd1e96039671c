"""Frozen networks that turn images into patch vectors, and a memory of normal patches."""
