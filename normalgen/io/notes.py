"""Remarks for people that change nothing: they go to the logger "normalgen", which shows them on standard error."""

import logging

__all__ = ["LOGGER", "note"]

LOGGER = logging.getLogger("normalgen")


def note(text: str) -> None:
    """Remark `text`, a sentence without a full stop."""
    LOGGER.warning(text)
