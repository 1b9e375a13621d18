"""Refuse and show characters that act on a reader's screen instead of being read.

Control characters (ECMA-48: C0, DEL and C1) move a terminal's cursor or set its title. Bidi controls (Unicode's
property Bidi_Control, UAX 9) reorder the text around them, so that it reads as another text.
"""

import re

# Line feed and tab are left out: they only lay out a text. LINE and PARAGRAPH SEPARATOR break a line where no editor
# shows it.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ACTING = re.compile(f"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")


def one_line(text: str) -> str:
    """Return a title or a name unchanged.

    Raises:
        ValueError: it has a line break, a tab, a control character or a bidi control.
    """
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line without tabs")
    return lines(text)


def lines(text: str) -> str:
    """Return a description unchanged; line breaks, also as CR LF, and tabs are allowed.

    Raises:
        ValueError: it has a control character or a bidi control. The message names the first one, such as U+202E.
    """
    if found := _ACTING.search(text.replace("\r\n", "\n")):
        raise ValueError(f"must not contain the control character U+{ord(found[0]):04X}")
    return text


def escaped(text: str) -> str:
    r"""Write every acting character of a foreign text as its escape, such as `\x1b` or `\u202e`."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))
