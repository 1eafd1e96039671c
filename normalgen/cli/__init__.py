"""The command line: parses, calls one function, shows."""

from normalgen.cli.app import app, main

__all__ = ["app", "main"]
