"""Titles, names and descriptions: what a creator may not write, and how a terminal is shown what others wrote."""

import sys
import unicodedata

import pytest

from core.failures import InvalidInput
from core.resources import draft as drafts
from core.resources import short_text
from tests.selling import content

# Unicode's property Bidi_Control, which unicodedata does not have: those characters whose names say so.
BIDI = {
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) == "Cf"
    and unicodedata.name(character, "").startswith(
        ("LEFT-TO-RIGHT", "RIGHT-TO-LEFT", "ARABIC LETTER MARK", "POP DIR", "FIRST STRONG")
    )
}
CONTROLS = {chr(code) for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc"}
ACTING = sorted((CONTROLS | BIDI | {"\u2028", "\u2029"}) - {"\n", "\t"})


def test_what_acts_on_a_screen() -> None:
    """Every control character and bidi control is refused, also in a description, and is escaped for a terminal."""
    assert (len(CONTROLS), len(BIDI)) == (65, 12)
    for character in ACTING:
        with pytest.raises(ValueError, match=f"U\\+{ord(character):04X}"):
            short_text.lines(f"a{character}b")
        shown = short_text.escaped(f"a{character}b")
        assert shown.startswith("a\\")
        assert shown.isascii()
        assert shown.isprintable()


@pytest.mark.parametrize("text", ["Ünïcode 🏴‍☠️ 👩‍💻", "שלום", "سلام", "a\\x1b", "e\u0301"])
def test_what_is_only_read(text: str) -> None:
    """Letters of every script, accents and joined emoji are allowed, and shown as they are."""
    assert short_text.one_line(text) == short_text.lines(text) == short_text.escaped(text) == text


def test_lines() -> None:
    """A description may have lines and tabs, and a title may not; a lone carriage return would overwrite its line."""
    text = "one\r\n\ttwo\nthree"

    assert short_text.lines(text) == text
    assert short_text.escaped(text) == "one\n\ttwo\nthree"
    for wrong in ("one\ntwo", "one\ttwo", "one\rtwo"):
        with pytest.raises(ValueError, match="must"):
            short_text.one_line(wrong)
    with pytest.raises(ValueError, match="U\\+000D"):
        short_text.lines("good\rbad")


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x1b]0;title\a", "\x9b31m", "safe\u202egnp.exe", "\u2066x"])
@pytest.mark.parametrize("field", ["title", "description", "model", "parameters"])
def test_a_draft_with_acting_text(field: str, text: str) -> None:
    """Title, description, model and a parameter's description are refused by name, and the text is not repeated."""
    value = [{"name": "topic", "description": text}] if field == "parameters" else text
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(**{field: value}))

    ((named, sentence),) = caught.value.fields.items()
    assert named == ("parameters.0.description" if field == "parameters" else field)
    assert "must not contain the control character U+" in sentence
    assert text not in sentence
