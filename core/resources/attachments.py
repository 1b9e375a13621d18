"""Check the pictures and files that buyers send, and turn each into parts of a message.

A value is an https address, which the provider fetches and nobody here, or a `data:` URL (RFC 2397) in base64.
Sources: https://openrouter.ai/docs/features/multimodal/images and /pdfs; `image_url` is OpenAI's, `file` OpenRouter's.
"""

import binascii
from collections.abc import Mapping
from typing import Final, Literal, TypeGuard
from urllib.parse import urlsplit

from core.media import files
from core.net.addresses import read_address
from core.settings import urls

Kind = Literal["image", "file"]

MEDIA_TYPES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/gif"),
    "file": ("application/pdf",),
}
URL_LIMIT: Final = 2048
"""Most characters of an https address."""
BYTES_LIMIT: Final = files.SIZE_LIMIT
"""Most bytes of all pictures and files of one call together."""

# Names that lead nowhere on the public internet: RFC 6761 and 6762, ICANN's `internal`, RFC 8375.
_INTERNAL = frozenset({"localhost", "local", "internal", "arpa"})
_HTTPS_PORT = 443
_LONGEST_HEAD = len("data:application/pdf;base64,")


def is_kind(parameter_type: str) -> TypeGuard[Kind]:
    """Whether values of this type are pictures or files."""
    return parameter_type in MEDIA_TYPES


def marker(kind: Kind, name: str) -> str:
    """Return the words that stand for a picture or file in the text of a prompt."""
    return f"[{kind}: {name}]"


def parts(kind: Kind, name: str, value: str) -> tuple[dict[str, object], ...]:
    """Build the parts of the user turn: the marker, and the picture or file itself."""
    label: dict[str, object] = {"type": "text", "text": marker(kind, name)}
    if kind == "image":
        return label, {"type": "image_url", "image_url": {"url": value}}
    return label, {"type": "file", "file": {"filename": f"{name}.pdf", "file_data": value}}


def most_characters(most_bytes: int) -> int:
    """Return the most characters of a value whose content has at most so many bytes."""
    return max(URL_LIMIT, _LONGEST_HEAD + -(-most_bytes // 3) * 4)


def schema(kind: Kind, most_bytes: int) -> dict[str, object]:
    """Return the JSON Schema of a value."""
    types = "|".join(name.partition("/")[2] for name in MEDIA_TYPES[kind])
    family = MEDIA_TYPES[kind][0].partition("/")[0]
    return {
        "type": "string",
        "format": "uri",
        "pattern": f"^(https://|data:{family}/({types});base64,)",
        "maxLength": most_characters(most_bytes),
    }


def problem(kind: Kind, value: str, most_bytes: int) -> str | None:
    """Say what is wrong with a value, as the end of a sentence that begins with its name; None if nothing is."""
    if value.startswith("https://"):
        return url_problem(value)
    head, comma, _ = value[:_LONGEST_HEAD].partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not comma or head != f"data:{media_type};base64" or media_type not in MEDIA_TYPES[kind]:
        return f"must be an https:// address, or a data: URL in base64 of {', '.join(MEDIA_TYPES[kind])}"
    # Before it is decoded, so that nothing larger is ever in memory twice.
    if len(value) > most_characters(most_bytes):
        return f"is larger than {most_bytes} bytes"
    try:
        content = binascii.a2b_base64(value[len(head) + 1 :], strict_mode=True)
    except ValueError:
        content = None
    if content is None:
        return "is no base64"
    if len(content) > most_bytes:
        return f"is larger than {most_bytes} bytes"
    return None if files.is_whole(media_type, content) else f"is no whole file of the type {media_type}"


def url_problem(url: str) -> str | None:
    """Refuse an address that only leads somewhere from inside a network. The provider fetches it, and nobody here.

    Its name is not looked up: a name such as `10.0.0.1.nip.io` leads where its owner wants, an answer of today says
    nothing about the provider's look-up later or elsewhere, and buyers could make this machine ask any name server.
    Only whoever fetches it can refuse where it leads.
    """
    if len(url) > URL_LIMIT:
        return f"has more than {URL_LIMIT} characters"
    try:
        urls.checked(url)
    except ValueError as wrong:
        return str(wrong)
    address = urlsplit(url)
    host = (address.hostname or "").removesuffix(".")
    if address.username is not None or address.password is not None:
        return "must have no user and no password"
    if (address.port or _HTTPS_PORT) != _HTTPS_PORT:
        return f"must have no other port than {_HTTPS_PORT}"
    if read_address(host) is not None or "." not in host or host.rpartition(".")[2] in _INTERNAL:
        return "must name a host of the public internet, by its name"
    return None
