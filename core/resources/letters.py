"""Reduce texts to their letters, so that neither case, spacing, signs, accents nor look-alikes tell two texts apart.

Letters become bytes from `a` to `z`. A letter of another script is mapped to one or more of them, always to the same.
"""

import string
import unicodedata

_ASCII = string.ascii_lowercase.encode()
_NO_LETTERS = bytes(set(range(256)) - set(_ASCII))
_VOWELS = b"aeiou"
# From Unicode's confusables (https://www.unicode.org/Public/security/latest/confusables.txt), those that NFKD leaves as
# they are: Cyrillic, Greek, and a few Latin letters.
_LOOKALIKES = dict(
    zip(
        "абвеіјкмнопрстухѕԁԛԝһӏαβγεικνορτυχωıßøłđæœ",
        "abbeijkmhonpctyxsdqwhlabyeiknoptuxwisoldao",
        strict=True,
    )
)
_FIRST_IDEOGRAPH = 0x2E80


class _Table(dict[int, str]):
    """What becomes of each code point, found when it is first met; there are not more of them than Unicode has."""

    def __missing__(self, point: int) -> str:
        folded = unicodedata.normalize("NFKD", chr(point)).casefold()
        self[point] = found = "".join(_LOOKALIKES.get(one) or _digits(ord(one)) for one in folded if one.isalpha())
        return found


def _digits(point: int) -> str:
    """Write a code point in base 26. An ideograph counts as three letters, because it says as much as they do."""
    if point < 0x80:
        return chr(point)
    letters = chr(97 + point % 26)
    return letters if point < _FIRST_IDEOGRAPH else letters + chr(97 + point // 26 % 26) + chr(97 + point // 676 % 26)


_TABLE = _Table()
# The steps between letters, modulo 26.
_FROM_ZERO = bytes.maketrans(_ASCII, bytes(range(26)))
_ABOVE = bytes.maketrans(_ASCII, bytes(range(26, 52)))
_MODULO = bytes(value % 26 for value in range(256))
_NEGATED = bytes((26 - value) % 26 if value < 26 else value for value in range(256))


def letters(text: str) -> bytes:
    """Return the letters of a text, from a to z."""
    if text.isascii():
        return text.lower().encode().translate(None, _NO_LETTERS)
    return text.translate(_TABLE).encode()


def without_vowels(of: bytes) -> bytes:
    """Return the consonants among letters."""
    return of.translate(None, _VOWELS)


def steps(of: bytes) -> bytes:
    """Return how far each letter is from the one before it, modulo 26: the same under every Caesar cipher.

    One subtraction of two long numbers does all of it: a byte of the first is always the larger.
    """
    if len(of) < 2:
        return b""
    after, before = (int.from_bytes(part, "big") for part in (of[1:].translate(_ABOVE), of[:-1].translate(_FROM_ZERO)))
    return (after - before).to_bytes(len(of) - 1, "big").translate(_MODULO)


def negated(of: bytes) -> bytes:
    """Return the steps of the same text in an alphabet that is turned round (Atbash)."""
    return of.translate(_NEGATED)
