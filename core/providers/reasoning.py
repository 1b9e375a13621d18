"""Cut a model's reasoning from its answer. Some models write it into the text, between tags.

Which tags is known from the models' own chat templates (DeepSeek R1, Qwen 3, Magistral and their like).
"""

import re

_NAMES = r"(?:think|thinking|thought|reasoning)"
_LEADING = re.compile(rf"\s*<({_NAMES})>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(rf"<{_NAMES}>", re.IGNORECASE)
_LONE_END = re.compile(rf"</{_NAMES}>", re.IGNORECASE)


def cut(text: str) -> str:
    """A text without the reasoning before its answer.

    Reasoning is what stands between leading tags, also if the last is never closed, and everything up to a closing tag
    that nothing opened: some chat templates write the opening tag into the prompt.

    Args:
        text: what the model wrote.

    Returns:
        The rest, without the white space before it; the text itself if there is no reasoning.
    """
    rest = text
    while match := _LEADING.match(rest):
        rest = rest[match.end() :]
    lone = _LONE_END.search(rest)
    if lone and not _OPENING.search(rest, 0, lone.start()):
        rest = rest[lone.end() :]
    return text if rest is text or rest == text else rest.lstrip()
