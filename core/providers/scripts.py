"""Count the characters of a text by script: tokenizers make more tokens of a character outside Latin."""

import re

# Latin with all its extensions of everyday languages, digits and signs.
_LATIN = re.compile("[\0-\u024f]+")


def by_script(text: str) -> tuple[int, int]:
    """Count the Latin characters and all others."""
    if text.isascii():
        return len(text), 0
    other = len(_LATIN.sub("", text))
    return len(text) - other, other
