"""Measure how deep a JSON text is nested, because Python's parser recurses and can overflow the stack."""

import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def is_deeper(text: str, limit: int) -> bool:
    """Whether brackets outside strings are nested deeper than a limit, in linear time.

    Args:
        text: any text. If strings are malformed, brackets in them count too.
        limit: levels.
    """
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > limit:
                return True
        elif token[0] in ("]", "}"):
            depth -= 1
    return False
