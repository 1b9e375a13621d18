"""Small whole files, as real encoders (libpng, libjpeg, libwebp, giflib, libavif) write them."""

import base64
import struct
import zlib
from pathlib import Path

_DATA = Path(__file__).parent / "data"

FILES = {
    "image/png": (_DATA / "small.png").read_bytes(),
    "image/jpeg": (_DATA / "small.jpg").read_bytes(),
    "image/webp": (_DATA / "small.webp").read_bytes(),
    "image/gif": (_DATA / "small.gif").read_bytes(),
    "image/avif": (_DATA / "small.avif").read_bytes(),
}
LOSSLESS_WEBP = (_DATA / "lossless.webp").read_bytes()
ANIMATED_WEBP = (_DATA / "animated.webp").read_bytes()


def _wav(samples: bytes) -> bytes:
    rest = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data"
    rest += struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(rest)) + rest


def _page(flags: int, body: bytes) -> bytes:
    return b"OggS" + struct.pack("<BBqIIIB", 0, flags, 0, 1, 0, 0, 1) + bytes([len(body)]) + body


FILES |= {
    "audio/wav": _wav(bytes(32)),
    "audio/ogg": _page(2, b"OpusHead") + _page(4, bytes(40)),
}
"""Whole files by their MIME type, of those whose containers say where they end."""

PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def data_url(kind: str, data: bytes) -> str:
    """A file as a `data:` URL (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def png_with(words: str) -> bytes:
    """A whole picture with these words in it."""
    text = b"tEXtComment\0" + words.encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return FILES["image/png"][:33] + chunk + FILES["image/png"][33:]
