"""Measure how deep a JSON text is nested, because Python's parser recurses and can overflow the stack."""

import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|(?P<unclosed>")|[\[\]{}]', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def is_deeper(text: str, limit: int) -> bool:
    """Whether brackets outside strings are nested deeper than a limit, in linear time.

    Args:
        text: any text. From a string that is never closed on, brackets in strings count too.
        limit: levels.
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["unclosed"]:
            # To look for the end of each later string would take quadratic time.
            return _reaches(_BRACKET.findall(text, token.end()), depth, limit)
        if token[0] in ("[", "{"):
            depth += 1
            if depth > limit:
                return True
        elif token[0] in ("]", "}"):
            depth -= 1
    return False


def _reaches(brackets: list[str], depth: int, limit: int) -> bool:
    """Whether these brackets are nested deeper than the limit, beginning at a depth."""
    for bracket in brackets:
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            return True
    return False
