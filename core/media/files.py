"""Identify files by their content: the first bytes give the type, the container whether it is whole."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from core.media import containers

SIZE_LIMIT = 20 * 1024 * 1024
"""Most bytes of one file; today's models make files below 10 MiB."""

# RFC 2397, with scheme, type and "base64" in any case, and also the alphabet of RFC 4648, section 5.
_DATA_URL = re.compile(r"data:[a-z0-9.+-]+/[a-z0-9.+-]+(?:;[a-z0-9=.+-]+)*;base64", re.A | re.I)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]++={0,2}", re.A)
# Enough for a type with parameters, up to the comma.
_START_CHARACTERS = 300
_URL_SAFE = str.maketrans("-_", "+/")
_REMOTE = re.compile(r"https://[\x21-\x7e]{1,2000}")

# Only raster formats, because SVG and the like are programs. Signatures from the WHATWG MIME Sniffing standard,
# sections 6.1 and 6.2.
_IMAGES = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/webp", re.compile(rb"RIFF....WEBPVP", re.DOTALL)),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/avif", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
)
_DOCUMENTS = (("application/pdf", re.compile(rb"%PDF-[12]\.")),)
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
"""Each MIME type with its file extension."""


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
        """The file as a `data:` URL (RFC 2397), with its real type."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"


def picture(url: str) -> Medium | str | None:
    """Read a picture from its URL: a file from `data:`, an https address as it is, or None for anything else.

    None for a truncated file, because it cannot be shown.
    """
    if _REMOTE.fullmatch(url):
        return url
    comma = url.find(",", 0, _START_CHARACTERS)
    if comma < 0 or not _DATA_URL.fullmatch(url, 0, comma) or not _BASE64.fullmatch(url, comma + 1):
        return None
    return _read(url[comma + 1 :], _IMAGES)


def kind_of(data: bytes) -> str | None:
    """Return the MIME type of a picture or document by its first bytes; None if it is neither."""
    return next((kind for kind, signature in _IMAGES + _DOCUMENTS if signature.match(data)), None)


def is_whole(kind: str, data: bytes) -> bool:
    """Whether this is a whole picture or document of this MIME type, by its first bytes and its container."""
    signatures = dict(_IMAGES + _DOCUMENTS)
    return signatures[kind].match(data) is not None and containers.is_whole(kind, data)


def sound(encoded: str) -> Medium | None:
    """Decode a sound from base64; None for a truncated file, and for raw samples, whose rate is unknown."""
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
