"""Read a text in every way that its reader could: undo the codes in which it may carry another text."""

import base64
import binascii
import codecs
import html
import re
import string
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

# Codes within codes are undone so often.
_DEPTH = 3
# All readings together have at most so many times the characters of the text: a decoded text is shorter than its code,
# but several decoders may take the same one.
_MOST = 4
_LEAST = 12
# So much of a text tells what it is.
_SAMPLE = 400

_SPELLED = re.compile(r"\\[ux]|&(?:#|\w{2,8};)|%[0-9A-Fa-f]{2}")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}(?:\s{1,2}[A-Za-z0-9+/_-]{20,})*(?:\s?[A-Za-z0-9+/_-]+)?={0,2}")
_BASE32 = re.compile(r"[A-Z2-7]{24,}(?:\s[A-Z2-7]+)*={0,6}")
_BASE85 = re.compile(r"[!-~]{40,}")
_HEX = re.compile(r"[0-9A-Fa-f]{2}(?:[\s:,]{0,2}(?:0x)?[0-9A-Fa-f]{2}){11,}")
_BITS = re.compile(r"[01]{8}(?:\s?[01]{8}){7,}")
_NUMBERS = re.compile(r"\d{2,3}(?:[\s,;]{1,2}\d{2,3}){11,}")
_MORSE_CODE = re.compile(r"[.\-]{1,5}(?:[ /|\n]{1,3}[.\-]{1,5}){11,}")
_DIGIT = re.compile("[01345789@$]")
_UPSIDE_DOWN = "ɐɔǝɟƃɥᴉıɾʞɯɹʇʌʍʎ"
_TURNED = re.compile(f"[{_UPSIDE_DOWN}]")
_UPRIGHT = str.maketrans(_UPSIDE_DOWN + "bdpqnu", "acefghiijkmrtvwy" + "qpdbun")
_PIG = re.compile(r"\b([^\W\d_]+?)([^\W\d_])ay\b")
_LONG_WORD = re.compile(r"\S{20}")
_MORSE_SIGNS = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
"""
_MORSE = dict(zip(_MORSE_SIGNS.split(), string.ascii_lowercase, strict=True))
_LEET = [str.maketrans("01345789@$", f"o{one}eastbgas") for one in "il"]
_URL_SAFE = str.maketrans("-_", "+/")


def readings(text: str) -> Iterator[str]:
    """Yield the text, and what it says when codes are undone: escapes, base64, hex, morse, pig latin and their like.

    Nothing is undone where nothing looks like a code, so an ordinary text costs a few searches.
    """
    left = _MOST * len(text)
    found, seen = [text], {text}
    for _ in range(_DEPTH):
        yield from found
        deeper = []
        for other in (other for one in found for other in _undone(one)):
            left -= len(other)
            if left > 0 and other not in seen:
                seen.add(other)
                deeper.append(other)
        found = deeper
    yield from found


def _undone(text: str) -> Iterator[str]:
    if _SPELLED.search(text):
        yield urllib.parse.unquote(html.unescape(_ESCAPE.sub(lambda code: chr(int(code[1] or code[2], 16)), text)))
    yield from _decoded(text)
    yield from _respelled(text)


def _decoded(text: str) -> Iterator[str]:
    digits = sum(map(text.count, string.digits)) * 12 > len(text)
    has_long_word = _LONG_WORD.search(text) is not None
    for pattern, is_spaced, decoders in _CODES:
        if has_long_word or (is_spaced and digits):
            yield from _plain_texts(pattern.findall(text), decoders)
    if (text.count(".") + text.count("-")) * 3 > len(text):
        yield from _plain_texts(_MORSE_CODE.findall(text), [_morse])


def _plain_texts(codes: Iterable[str], decoders: list[Callable[[str], str]]) -> Iterator[str]:
    for code in codes:
        for decode in decoders:
            try:
                plain = decode(code)
            except (ValueError, OverflowError):
                continue
            if len(plain) >= _LEAST and _is_text(plain):
                yield plain


def _respelled(text: str) -> Iterator[str]:
    if len(text) < 12 * len(_DIGIT.findall(text)) < 8 * len(text):
        yield from (text.translate(table) for table in _LEET)
    if len(_TURNED.findall(text)) > _LEAST:
        yield text.translate(_UPRIGHT)
    words = text.split(maxsplit=_SAMPLE)[:_SAMPLE]
    if len(words) < _LEAST:
        return
    if text.count("ay") * 10 > len(text):
        yield _PIG.sub(r"\2\1", text)
    word, times = Counter(words).most_common(1)[0]
    if times * 3 > len(words) and len(word) > 1:
        yield " ".join(other for other in text.split() if other != word)


def _is_text(plain: str) -> bool:
    """Whether it looks like a text or another code, not like the bytes that a wrong decoder makes."""
    sample = plain[:_SAMPLE]
    return sum(one.isprintable() or one.isspace() for one in sample) >= 0.95 * len(sample)


def _base64(code: str) -> str:
    joined = re.sub(r"[\s=]", "", code).translate(_URL_SAFE)
    joined = joined[: len(joined) - (len(joined) % 4 == 1)]
    return base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True).decode()


def _base32(code: str) -> str:
    joined = re.sub(r"[\s=]", "", code)
    return base64.b32decode(joined + "=" * (-len(joined) % 8)).decode()


def _numbers(code: str, base: int) -> str:
    return bytes(int(number, base) for number in re.findall(r"\d+", code)).decode()


def _morse(code: str) -> str:
    return "".join(_MORSE.get(sign, "") for sign in re.findall(r"[.\-]+", code))


# A form of code, whether blanks may stand within it, and what undoes it.
_CODES: list[tuple[re.Pattern[str], bool, list[Callable[[str], str]]]] = [
    (
        _BASE64,
        False,
        [
            _base64,
            lambda code: _base64(code.rstrip("=")[::-1]),
            lambda code: _base64(codecs.encode(code, "rot13")),
        ],
    ),
    (_BASE32, False, [_base32]),
    (_BASE85, False, [lambda code: base64.b85decode(code).decode(), lambda code: base64.a85decode(code).decode()]),
    (_HEX, True, [lambda code: binascii.unhexlify(re.sub(r"0x|[^0-9A-Fa-f]", "", code)).decode()]),
    (_BITS, True, [lambda code: bytes(int(bits, 2) for bits in re.findall("[01]{8}", code)).decode()]),
    (_NUMBERS, True, [lambda code: _numbers(code, 10), lambda code: _numbers(code, 8)]),
]
