"""The rows of `tests/test_bad_input.py`: bad inputs, the command that meets each, and what it must say."""
