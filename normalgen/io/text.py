"""Text from outside, made safe: names of files whose bytes are not text, and control characters in messages."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable

__all__ = ["printable", "valid_texts"]

TURNING = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def valid_texts(names: Iterable[str]) -> list[str]:
    r"""Return the names with bytes that are not UTF-8 written as "\xNN"; different names stay different."""
    names = list(names)
    texts = [_valid(name) for name in names]
    often = Counter(texts)
    return [
        text if text == name or often[text] == 1 else f"{text}-{hashlib.sha256(_bytes(name)).hexdigest()[:8]}"
        for name, text in zip(names, texts, strict=True)
    ]


def printable(text: str) -> str:
    r"""Return the text with control characters and marks that turn the direction of writing as "\xNN"; newlines stay.

    A terminal obeys control characters, which a file name may contain.
    """
    return "".join(map(_shown, _valid(text)))


def _shown(letter: str) -> str:
    acts = unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in TURNING
    return letter.encode("unicode_escape").decode("ascii") if acts and letter != "\n" else letter


def _valid(name: str) -> str:
    return _bytes(name).decode("utf-8", "backslashreplace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape" if _is_from_disk(text) else "backslashreplace")


def _is_from_disk(text: str) -> bool:
    return all(not "\ud800" <= letter <= "\udfff" or "\udc80" <= letter <= "\udcff" for letter in text)
