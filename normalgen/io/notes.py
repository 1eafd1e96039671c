"""Notes for the user, which change no result. The logger "normalgen" prints them to standard error."""

import logging

__all__ = ["LOGGER", "note"]

LOGGER = logging.getLogger("normalgen")


def note(text: str) -> None:
    """Print `text`, a sentence without a full stop."""
    LOGGER.warning(text)
