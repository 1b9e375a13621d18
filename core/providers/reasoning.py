"""Cut a model's reasoning from its answer. Some models write it into the text, between tags.

The tags come from the models' own chat templates (DeepSeek R1, Qwen 3, Seed-OSS, Kimi, Magistral and the like).
"""

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|seed:think)"
_TAG = re.compile(rf"<(?P<end>/)?{_NAMES}\s{{0,8}}>|\[(?P<end_2>/)?THINK\]|◁(?P<end_3>/)?think▷", re.IGNORECASE)
_WORDS = re.compile(r"\S")
# What may become a tag with the next characters: one of these, or a mark of the prompt shield.
_UNFINISHED = re.compile(r"[<\[◁]/?[A-Za-z0-9_:]{0,20}\s{0,8}\Z")
_LONGEST = 30


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
        if not _closes(tag):
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


class Gate:
    """Let through the text of an answer while it arrives: only what `cut` keeps, as far as that can be known.

    A closing tag without an opening one can come at any time, and then `cut` removes what was let through. From there
    on the gate lets nothing through.

    Attributes:
        is_lost: whether `cut` removes what was let through.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._held = ""
        self._is_inside = self._is_open = self._has_cut = False
        self._opened = 0

    def feed(self, piece: str) -> str:
        """Take the next characters, cut anywhere, and return what can be shown now."""
        if self.is_lost:
            return ""
        self._held += piece
        while not self._is_open:
            if not (self._leave() if self._is_inside else self._enter()):
                return ""
        return self._release()

    def _leave(self) -> bool:
        """Skip the reasoning up to its closing tag; False if that is not here yet."""
        for tag in _TAG.finditer(self._held):
            if _closes(tag):
                self._held, self._is_inside, self._has_cut = self._held[tag.end() :], False, True
                return True
        self._held = self._held[-_LONGEST:]
        return False

    def _enter(self) -> bool:
        """Find out whether a leading tag comes next; False if that cannot be known yet."""
        begin = _next_word(self._held, 0)
        rest = self._held[begin:]
        if not rest:
            # White space alone is all of an answer that is long enough to count, or none.
            self._held = "" if self._has_cut else self._held
            return False
        if tag := _TAG.match(rest):
            self._held = rest[tag.end() :]
            self._is_inside, self._has_cut = not _closes(tag), self._has_cut or _closes(tag)
            return True
        if _UNFINISHED.match(rest):
            return False
        self._held, self._is_open = rest if self._has_cut else self._held, True
        return True

    def _release(self) -> str:
        unfinished = _UNFINISHED.search(self._held)
        end = unfinished.start() if unfinished else len(self._held)
        shown, self._held = self._held[:end], self._held[end:]
        for tag in _TAG.finditer(shown):
            self._opened += -1 if _closes(tag) else 1
            if self._opened < 0:
                self.is_lost, self._held = True, ""
                return ""
        return shown


def _closes(tag: re.Match[str]) -> bool:
    return any(tag.group("end", "end_2", "end_3"))


def _next_word(text: str, start: int) -> int:
    """Find the beginning of the next word, or the end of the text."""
    match = _WORDS.search(text, start)
    return match.start() if match else len(text)
