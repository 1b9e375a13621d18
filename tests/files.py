"""Small whole files, as real encoders (libpng, libjpeg, libwebp, giflib, libavif) write them."""

import base64
import struct

FILES: dict[str, bytes] = {
    "image/png": base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAFElEQVR4nGM8IWfDAANMDEgAhQMAKxIBKCvhkagAAAAASUVORK5CYII="
    ),
    "image/jpeg": base64.b64decode(
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////////"
        "////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////////////////////"
        "////////////wAARCAADAAQDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
        "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
        "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
        "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
        "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
        "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
        "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCOiiikdB//2Q=="
    ),
    "image/gif": base64.b64decode("R0lGODdhBAADAIEAAMgePAAAAAAAAAAAACwAAAAABAADAAAICAABCBxIUGBAADs="),
    "image/webp": base64.b64decode("UklGRi4AAABXRUJQVlA4ICIAAABwAQCdASoEAAMAB0CWJaACdAF1AAD+4cC9t/hz4s/U9sAA"),
    "image/avif": base64.b64decode(
        "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
        "AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAIwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA"
        "AGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAABAAAAAMAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA"
        "AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAK21kYXQSAAoIGAR5ogIaDQgyFR7Hh4VZ3///4sAA"
        "AJA1jjxQZ5fOQA=="
    ),
}
LOSSLESS_WEBP = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvA4AAAAdQjyKXp/+BiOh/AAA=")
ANIMATED_WEBP = base64.b64decode(
    "UklGRqgAAABXRUJQVlA4WAoAAAACAAAAAwAAAgAAQU5JTQYAAAAAAAAAAABBTk1GRAAAAAAAAAAAAAMAAAIAAAAAAAJWUDggLAAA"
    "ADABAJ0BKgQAAwABQCYloAADcAD+8Por/w7ubr1rf//eM//+4z//7jP/dwAAQU5NRjAAAAAAAAAAAAADAAACAAAAAAAAVlA4IBgA"
    "AAA0AQCdASoEAAMAAAAmJaQAA3AA/v02aAA="
)


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
