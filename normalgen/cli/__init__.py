"""The command line. Each command parses its options, calls one function and prints the result."""

from normalgen.cli.app import app, main

__all__ = ["app", "main"]
