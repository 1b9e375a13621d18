"""Check by its container whether a picture, sound or document is whole: its sizes add up and its end is there.

Nothing is decoded: a decoder for untrusted files is an attack surface, and a container holds its own length. Each check
takes one step per part, and a file of more parts than encoders write is not whole.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

# The largest file has 82,000 in GIF, whose parts are the shortest (255 bytes), and a few thousand elsewhere.
_MOST_PARTS = 100_000


def is_whole(kind: str, data: bytes) -> bool:
    """Whether a file of this MIME type has its end, and a picture its dimensions.

    Args:
        kind: one of `core.media.files.KINDS`, or application/pdf.
        data: the file.
    """
    try:
        return _CHECKS[kind](data)
    except (struct.error, IndexError):
        # The file ends before its container says so.
        return False


def _png(data: bytes) -> bool:
    """PNG (W3C, third edition): IHDR with dimensions, image data, a checksum for each chunk, IEND."""
    offset, names = 8, set()
    for _ in range(_MOST_PARTS):
        (length,) = struct.unpack_from(">I", data, offset)
        name, content = data[offset + 4 : offset + 8], data[offset + 4 : offset + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, offset + 8 + length)
        if zlib.crc32(content) != checksum:
            return False
        if (name == b"IHDR") != (offset == 8) or (name == b"IHDR" and 0 in struct.unpack_from(">II", content, 4)):
            return False
        names.add(name)
        if name == b"IEND":
            return b"IDAT" in names
        offset += 12 + length
    return False


def _jpeg(data: bytes) -> bool:
    """JPEG (ITU T.81): a frame with a width, a scan, and an end of image after it."""
    offset, width = 2, 0
    for _ in range(_MOST_PARTS):
        if data[offset] != 0xFF:
            return False
        marker = data[offset + 1]
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        (length,) = struct.unpack_from(">H", data, offset + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            (width,) = struct.unpack_from(">H", data, offset + 7)
        if marker == 0xDA:
            # In a scan, 0xFF is followed by 0 or a restart marker, so this can only be the end.
            return width > 0 and data.find(b"\xff\xd9", offset + 2 + length) > 0
        offset += 2 + length
    return False


def _gif(data: bytes) -> bool:
    """GIF89a: a screen with dimensions, a picture, and the trailer after the blocks."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    offset, pictures, is_inside = 13 + _color_table(flags), 0, False
    for _ in range(_MOST_PARTS):
        if is_inside:
            is_inside = data[offset] > 0
            offset += 1 + data[offset]
        elif data[offset] == 0x3B:
            return width > 0 and height > 0 and pictures > 0
        elif data[offset] == 0x21:
            offset, is_inside = offset + 2, True
        elif data[offset] == 0x2C:
            pictures += 1
            offset, is_inside = offset + 10 + _color_table(data[offset + 9]) + 1, True
        else:
            return False
    return False


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> bool:
    """WebP (RFC 9649): a RIFF file of its stated length, with image data."""
    return {b"VP8 ", b"VP8L"} & {name for name, _ in _riff(data)} != set() and _is_as_long(data)


def _wav(data: bytes) -> bool:
    """WAV: a RIFF file of its stated length, with samples. A streamed file states 0 or the maximum."""
    (size,) = struct.unpack_from("<I", data, 4)
    samples = next((length for name, length in _riff(data) if name == b"data"), 0)
    return samples > 0 and (size in (0, 0xFFFFFFFF) or _is_as_long(data))


def _is_as_long(data: bytes) -> bool:
    (size,) = struct.unpack_from("<I", data, 4)
    return bool(len(data) >= 8 + size)


def _riff(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the name and length of each chunk. An extended WebP may hold its frames in ANMF chunks."""
    offset = 12
    for _ in range(_MOST_PARTS):
        if offset + 8 > len(data):
            return
        name, length = struct.unpack_from("<4sI", data, offset)
        # An ANMF chunk begins with the frame's position and size, and then holds the image's own chunk.
        yield (data[offset + 24 : offset + 28] if name == b"ANMF" else name), length
        offset += 8 + length + length % 2


def _avif(data: bytes) -> bool:
    """AVIF (ISO 14496-12): boxes that fill the file, with metadata and media data among them."""
    offset = 0
    names: set[bytes] = set()
    for _ in range(_MOST_PARTS):
        if offset == len(data):
            return {b"ftyp", b"meta", b"mdat"} <= names
        length, name = struct.unpack_from(">I4s", data, offset)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, offset + 8)
        length = len(data) - offset if length == 0 else length
        if length < 8 or offset + length > len(data):
            return False
        names.add(name)
        offset += length
    return False


def _ogg(data: bytes) -> bool:
    """Ogg (RFC 3533): whole pages, of which the last ends the stream."""
    offset, flags = 0, 0
    for _ in range(_MOST_PARTS):
        if offset >= len(data):
            break
        name, flags, count = struct.unpack_from("<4sxB20xB", data, offset)
        if name != b"OggS":
            return False
        offset += 27 + count + sum(data[offset + 27 : offset + 27 + count])
    return offset == len(data) and flags & 4 > 0


def _flac(data: bytes) -> bool:
    """FLAC (RFC 9639): metadata that ends, and frames after it. A stream need not state their number."""
    offset = 4
    for _ in range(_MOST_PARTS):
        is_last = data[offset] & 0x80 > 0
        offset += 4 + int.from_bytes(data[offset + 1 : offset + 4])
        if is_last:
            return offset < len(data)
    return False


def _mpeg(data: bytes) -> bool:
    """MP3: a frame after the ID3 tag, if there is one. The file does not state the number of frames."""
    offset = 0
    if data.startswith(b"ID3"):
        offset = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    return data[offset] == 0xFF and data[offset + 1] & 0xE0 == 0xE0


def _pdf(data: bytes) -> bool:
    """PDF (ISO 32000): its end is in the last 1024 bytes, where readers look for it."""
    return data.rfind(b"%%EOF", -1024) >= 0


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/gif": _gif,
    "image/avif": _avif,
    "audio/wav": _wav,
    "audio/mpeg": _mpeg,
    "audio/ogg": _ogg,
    "audio/flac": _flac,
    "application/pdf": _pdf,
}
