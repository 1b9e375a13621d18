"""What a model drew or spoke, checked by its content: first bytes say what it is, its container whether it is whole."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from core.media import containers

SIZE_LIMIT = 20 * 1024 * 1024
"""Bytes of one file; what models make today is below 10 MiB."""

# RFC 2397; scheme, type and "base64" in any case, and the alphabet of RFC 4648, section 5, as well.
_DATA_URL = re.compile(
    r"data:[a-z0-9.+-]+/[a-z0-9.+-]+(?:;[a-z0-9=.+-]+)*;base64,([A-Za-z0-9+/_\s-]+={0,2})", re.A | re.I
)
_URL_SAFE = str.maketrans("-_", "+/")
_REMOTE = re.compile(r"https://[\x21-\x7e]{1,2000}")

# Raster only: SVG and its like are programs. Signatures as in the WHATWG MIME Sniffing standard, sections 6.1 and 6.2.
_IMAGES = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/webp", re.compile(rb"RIFF....WEBPVP", re.DOTALL)),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/avif", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
)
_SOUNDS = (
    ("audio/wav", re.compile(rb"RIFF....WAVE", re.DOTALL)),
    ("audio/mpeg", re.compile(rb"ID3|\xff[\xe2-\xff]")),
    ("audio/ogg", re.compile(rb"OggS\x00")),
    ("audio/flac", re.compile(rb"fLaC")),
)

KINDS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
}
"""Each kind of file with the ending of its name."""


@dataclass(frozen=True, slots=True)
class Medium:
    """A file that can be shown or played.

    Attributes:
        kind: its MIME type, by content.
        data: the file.
    """

    kind: str
    data: bytes = field(repr=False)

    @property
    def data_url(self) -> str:
        """The file itself as a URL (RFC 2397), with its real type."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"


def picture(url: str) -> Medium | str | None:
    """A picture from where a model says it is: its bytes, an https address that is passed on, or None for neither.

    A file that is cut off is none: it cannot be shown.
    """
    if _REMOTE.fullmatch(url):
        return url
    match = _DATA_URL.fullmatch(url)
    return _read(match[1], _IMAGES) if match else None


def sound(encoded: str) -> Medium | None:
    """A sound from base64; None for half a file, and for bare samples, whose rate nobody knows."""
    return _read(encoded, _SOUNDS)


def _read(encoded: str, kinds: tuple[tuple[str, re.Pattern[bytes]], ...]) -> Medium | None:
    if len(encoded) > SIZE_LIMIT * 4 // 3 + 4:
        return None
    try:
        data = base64.b64decode(encoded.translate(_URL_SAFE))
    except binascii.Error:
        return None
    kind = next((kind for kind, signature in kinds if signature.match(data)), None)
    return Medium(kind, data) if kind and len(data) <= SIZE_LIMIT and containers.is_whole(kind, data) else None
