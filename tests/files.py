"""Small whole files, as real encoders (libpng, libjpeg, libwebp, giflib, libavif) write them."""

import struct
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
