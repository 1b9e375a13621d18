"""Cut a model's reasoning from its answer. Some models write it into the text, between tags.

The tags come from the models' own chat templates (DeepSeek R1, Qwen 3, Seed-OSS, Kimi, Magistral and the like).
"""

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|seed:think)"
_TAG = re.compile(rf"<(?P<end>/)?{_NAMES}\s{{0,8}}>|\[(?P<end_2>/)?THINK\]|◁(?P<end_3>/)?think▷", re.IGNORECASE)
_WORDS = re.compile(r"\S")


def cut(text: str) -> str:
    """Remove the reasoning before an answer, in linear time.

    Reasoning is the text between leading tags, even if the last is never closed, and everything up to a closing tag
    without an opening one: some chat templates write the opening tag into the prompt.

    Args:
        text: the model's text.

    Returns:
        The rest, without leading white space; the text itself if there is no reasoning.
    """
    start, begin, opened = 0, _next_word(text, 0), 0
    is_inside = False
    for tag in _TAG.finditer(text):
        if not any(tag.group("end", "end_2", "end_3")):
            is_leading = not is_inside and not opened and tag.start() == begin
            opened += not is_inside and not is_leading
            is_inside = is_inside or is_leading
        elif is_inside or not opened:
            is_inside = False
            start, begin = tag.end(), _next_word(text, tag.end())
        else:
            opened -= 1
    if is_inside:
        return ""
    return text[begin:] if start else text


def _next_word(text: str, start: int) -> int:
    """Find the beginning of the next word, or the end of the text."""
    match = _WORDS.search(text, start)
    return match.start() if match else len(text)
