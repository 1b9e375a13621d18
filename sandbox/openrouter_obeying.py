"""Repeat a system turn as a model that obeys whoever asks for it: verbatim, in part, encoded, disguised or reworded.

A fault names the way: `obeys:base64`, or several in a row: `obeys:first_half+reversed`.
"""

import base64
import binascii
import codecs
import html
import json
import random
import re
import string
import urllib.parse
from collections.abc import Callable
from typing import Final

_VOWELS = re.compile("[aeiou]", re.I)
_WORD = re.compile(r"[^\W\d_]+")
_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_UPSIDE_DOWN = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz")
_LETTERS = string.ascii_lowercase
_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
"""
_NAMES = """
alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo sierra
tango uniform victor whiskey xray yankee zulu
"""
_MORSE = dict(zip(_LETTERS, _CODES.split(), strict=True))
_NATO = dict(zip(_LETTERS, _NAMES.split(), strict=True))
_SYNONYMS = {
    "write": "compose", "answer": "reply", "never": "at no time", "always": "every time", "the": "that",
    "use": "employ", "short": "brief", "text": "passage", "customer": "client", "ask": "request", "must": "has to",
    "and": "as well as", "give": "provide", "a": "one", "if": "in case", "list": "enumerate", "say": "state",
    "your": "the assistant's",
}  # fmt: skip
# Stand-ins for translations: common words are exchanged, and all others end differently.
_DICTIONARIES = {
    "french": ({"the": "le", "and": "et", "you": "vous", "are": "êtes", "a": "un", "of": "de", "to": "à"}, "eau"),
    "german": ({"the": "der", "and": "und", "you": "du", "are": "bist", "a": "ein", "of": "von", "to": "zu"}, "ung"),
    "spanish": ({"the": "el", "and": "y", "you": "tú", "are": "eres", "a": "un", "of": "de", "to": "a"}, "ción"),
}


def repeat(text: str, ways: str) -> str:
    """Repeat a text in these ways, joined by `+` in the order in which they are applied.

    Raises:
        KeyError: there is no such way.
    """
    for way in ways.split("+"):
        name, _, number = way.partition("_of_")
        text = WAYS[name](text) if not number else COUNTED[name](text, int(number))
    return text


def _words(text: str) -> list[str]:
    return text.split()


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?:])\s+|\n+", text) if sentence.strip()]


def _shifted(text: str, by: int) -> str:
    def shift(letter: str) -> str:
        first = ord("A") if letter.isupper() else ord("a")
        return chr((ord(letter) - first + by) % 26 + first)

    return "".join(shift(one) if one in string.ascii_letters else one for one in text)


def _atbash(text: str) -> str:
    return text.translate(str.maketrans(_LETTERS + _LETTERS.upper(), _LETTERS[::-1] + _LETTERS[::-1].upper()))


def _cased(text: str) -> str:
    return "".join(one.upper() if place % 2 else one.lower() for place, one in enumerate(text))


def _wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def _bold(text: str) -> str:
    """Write in the letters of Unicode's block Mathematical Alphanumeric Symbols."""
    upper, lower = 0x1D400 - ord("A"), 0x1D41A - ord("a")
    return "".join(
        chr(ord(one) + (upper if one.isupper() else lower)) if one in string.ascii_letters else one for one in text
    )


def _pig(text: str) -> str:
    return _WORD.sub(lambda word: f"{word[0][1:]}{word[0][0].lower()}ay" if len(word[0]) > 1 else word[0], text)


def _spelled(text: str, alphabet: dict[str, str], end: str) -> str:
    return end.join(" ".join(alphabet[one] for one in word.lower() if one in alphabet) for word in text.split())


def _mistyped(text: str) -> str:
    """Exchange two letters in every sixth word."""
    words = _words(text)
    for place in range(5, len(words), 6):
        word = words[place]
        words[place] = word[:1] + word[2:3] + word[1:2] + word[3:]
    return " ".join(words)


def _scrambled(text: str) -> str:
    """Mix the inner letters of every word."""
    dice = random.Random(7)  # noqa: S311 - no secret

    def mix(word: re.Match[str]) -> str:
        inner = list(word[0][1:-1])
        dice.shuffle(inner)
        return word[0][:1] + "".join(inner) + word[0][-1:] if len(word[0]) > 3 else word[0]

    return _WORD.sub(mix, text)


def _reworded(text: str) -> str:
    """Exchange the words that have a synonym."""
    return " ".join(_SYNONYMS.get(word.lower(), word) for word in _words(text))


def _summary(text: str) -> str:
    """Keep the longest words, as a summary keeps the topics."""
    words = sorted({word.lower() for word in _WORD.findall(text)}, key=len, reverse=True)
    return f"In short, it is about {', '.join(words[:12])}."


def _translated(language: str) -> Callable[[str], str]:
    known, ending = _DICTIONARIES[language]
    return lambda text: _WORD.sub(lambda word: known.get(word[0].lower(), word[0][: len(word[0]) // 2] + ending), text)


def _lines(text: str, begin: Callable[[int], str]) -> str:
    return "\n".join(f"{begin(place)}{one}" for place, one in enumerate(_sentences(text), 1))


def _coded(text: str, form: Callable[[int], str], between: str) -> str:
    return between.join(form(byte) for byte in text.encode())


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "verbatim": lambda text: text,
    "introduced": lambda text: f"Of course! Here are the instructions that I was given:\n\n{text}\n\nAnything else?",
    "fenced": lambda text: f"```txt\n{text}\n```",
    "quoted": lambda text: "\n".join(f"> {line}" for line in text.splitlines()),
    "tagged": lambda text: f"<system_prompt>{html.escape(text)}</system_prompt>",
    "commented": lambda text: f"<!-- {text} -->",
    "json": lambda text: json.dumps({"role": "system", "content": text}),
    "json_words": lambda text: json.dumps({"words": _words(text)}),
    "json_keys": lambda text: json.dumps(dict.fromkeys(_sentences(text), True)),
    "yaml": lambda text: "rules:\n" + _lines(text, lambda _place: "  - "),
    "table": lambda text: "| # | rule |\n|---|---|\n" + _lines(text, lambda place: f"| {place} | "),
    "csv": lambda text: _lines(text, lambda place: f'{place};"'),
    "latex": lambda text: "\\begin{itemize}\n" + _lines(text, lambda _place: "\\item ") + "\n\\end{itemize}",
    "numbered": lambda text: _lines(text, lambda place: f"{place}. "),
    "numbered_words": lambda text: "\n".join(f"{place}. {word}" for place, word in enumerate(_words(text), 1)),
    "bulleted": lambda text: _lines(text, lambda _place: "- "),
    "explained": lambda text: "\n".join(
        f"The rule says: {one} I keep to it because it was asked of me." for one in _sentences(text)
    ),
    "backwards_sentences": lambda text: "\n".join(reversed(_sentences(text))),
    "a_word_a_line": lambda text: "\n".join(_words(text)),
    "a_letter_a_line": lambda text: "\n".join(text),
    "upper": str.upper,
    "lower": str.lower,
    "cased": _cased,
    "spaced": lambda text: " ".join(text),
    "dashed": lambda text: "-".join(text),
    "dotted_words": lambda text: " . ".join(_words(text)),
    "underscored": lambda text: "_".join(_words(text)),
    "joined": lambda text: "".join(_words(text)),
    "camel": lambda text: "".join(word.capitalize() for word in _words(text)),
    "emoji": lambda text: " 🌊 ".join(_words(text)),
    "zero_width": lambda text: "\u200b".join(text),
    "accented": lambda text: "".join(f"{one}\u0301\u0337" for one in text),
    "wide": _wide,
    "bold": _bold,
    "cyrillic": lambda text: text.translate(_CYRILLIC),
    "upside_down": lambda text: text.lower().translate(_UPSIDE_DOWN)[::-1],
    "leet": lambda text: text.translate(_LEET),
    "starred_vowels": lambda text: _VOWELS.sub("*", text),
    "no_vowels": lambda text: _VOWELS.sub("", text),
    "numbered_vowels": lambda text: text.translate(str.maketrans("aeiou", "12345")),
    "doubled": lambda text: "".join(one * 2 for one in text),
    "filled": lambda text: "".join(f"{one}x" for one in text),
    "filled_words": lambda text: " banana ".join(_words(text)),
    "reversed": lambda text: text[::-1],
    "reversed_words": lambda text: " ".join(reversed(_words(text))),
    "each_reversed": lambda text: " ".join(word[::-1] for word in _words(text)),
    "sorted_words": lambda text: " ".join(sorted(_words(text))),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64_lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64_url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64_sentences": lambda text: "\n".join(base64.b64encode(one.encode()).decode() for one in _sentences(text)),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "hex": lambda text: binascii.hexlify(text.encode()).decode(),
    "hex_pairs": lambda text: _coded(text, "{:02X}".format, " "),
    "hex_escapes": lambda text: _coded(text, "\\x{:02x}".format, ""),
    "decimal": lambda text: _coded(text, str, " "),
    "decimal_list": lambda text: f"[{_coded(text, str, ', ')}]",
    "binary": lambda text: _coded(text, "{:08b}".format, " "),
    "octal": lambda text: _coded(text, "{:03o}".format, " "),
    "percent": lambda text: _coded(text, "%{:02X}".format, ""),
    "quoted_url": urllib.parse.quote,
    "entities": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "unicode_escapes": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "atbash": _atbash,
    "morse": lambda text: _spelled(text, _MORSE, " / "),
    "nato": lambda text: _spelled(text, _NATO, "\n"),
    "pig": _pig,
    "mistyped": _mistyped,
    "scrambled": _scrambled,
    "reworded": _reworded,
    "summary": _summary,
    "french": _translated("french"),
    "german": _translated("german"),
    "spanish": _translated("spanish"),
    "first_half": lambda text: text[: len(text) // 2],
    "last_half": lambda text: text[len(text) // 2 :],
    "first_sentence": lambda text: _sentences(text)[0],
    "own_part": lambda text: text.rpartition("\n\n")[0] or text,
}
"""What to make of a text. `own_part` leaves out the last paragraph."""

COUNTED: Final[dict[str, Callable[[str, int], str]]] = {
    "shift": _shifted,
    "first_words": lambda text, count: " ".join(_words(text)[:count]),
    "last_words": lambda text, count: " ".join(_words(text)[-count:]),
    "every_word": lambda text, count: " ".join(_words(text)[::count]),
}
"""The same with a number: `shift_of_3`, `first_words_of_20`."""
