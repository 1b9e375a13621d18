"""Print the result of `instant buy`: the answer to standard output, everything else to standard error."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cli.buy_delivery import Outcome
    from cli.buy_order import Order

_DATA_URL = re.compile(r"data:image/([a-z0-9]+)[^,;]*;base64,(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST_LINE = 400
_SHOW_SECONDS = 30


class _Receipt(dict[str, Any]):
    """A receipt; a missing member shows as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


def document(order: Order | None, outcome: Outcome, pictures: list[str], kept: Path | None) -> dict[str, Any]:
    """Build the result for programs. The fields of the answer are the seller's."""
    said = {name: outcome.body[name] for name in ("response", "modality", "usage", "code") if name in outcome.body}
    return (
        {"state": outcome.state, "message": outcome.sentence}
        | ({} if order is None else order.model_dump(include={"url", "title", "price_usdc", "network"}))
        | said
        | ({"images": pictures} if pictures else {})
        | {
            "receipt": outcome.body.get("receipt"),
            "status_url": outcome.status_url,
            "rerun_url": outcome.body.get("rerunUrl"),
            "unfinished_payment": None if kept is None else str(kept),
        }
    )


def show(outcome: Outcome, pictures: list[str], kept: Path | None) -> None:
    """Print the result for people."""
    if outcome.state == "answered":
        print(plain(str(outcome.body.get("response") or "")))
        for image in pictures:
            print(plain(image) if len(image) < _LONGEST_LINE else f"an image of {len(image) * 3 // 4} bytes; see --out")
    say(outcome.sentence)
    receipt = _Receipt(_receipt(outcome.body))
    lines = {
        "cut off": outcome.body.get("truncated") is True and "at its length limit, which counts as the offer said",
        "receipt": receipt and "{paidUsdc} USDC on {network}, transaction {transaction}".format_map(receipt),
        "status": outcome.status_url,
        "run again for free": outcome.body.get("rerunUrl") and f"POST {outcome.body['rerunUrl']}",
        "continue with": kept and how_to_resume(kept),
    }
    for name, line in lines.items():
        if line:
            say(f"{name}: {line}")


def images(body: Mapping[str, Any], out: Path | None, shop: str | None) -> list[str]:
    """Return the answer's images: unchanged, or as the files that they were written to.

    Args:
        body: the answer.
        out: the folder for the files; None: no files.
        shop: the resource's URL. Image addresses on the same host are downloaded, others are only shown.
    """
    listed = body.get("images")
    given = [image for image in listed if isinstance(image, str)] if isinstance(listed, list) else []
    if out is None:
        return given
    transaction = str(_receipt(body).get("transaction"))
    stem = re.sub("[^0-9a-z]", "", transaction.removeprefix("0x"))[:12] or "image"
    saved = []
    for number, image in enumerate(given, 1):
        kind, content = _opened(image, shop)
        if content:
            path = out / f"{stem}-{number}.{kind}"
            path.write_bytes(content)
            image = str(path)
        saved.append(image)
    return saved


def _opened(image: str, shop: str | None) -> tuple[str, bytes]:
    """Return the type and content of an image from a `data:` URL or from the shop; empty if it is unavailable."""
    if found := _DATA_URL.fullmatch(image):
        with suppress(binascii.Error):
            return found[1], base64.b64decode(found[2], validate=True)
    if shop is None or urlsplit(image)[:2] != urlsplit(shop)[:2]:
        return "", b""
    import httpx

    with suppress(httpx.HTTPError):
        shown = httpx.get(image, timeout=_SHOW_SECONDS, follow_redirects=True)
        kind = re.fullmatch("image/([a-z0-9]+)", shown.headers.get("content-type", ""))
        if shown.is_success and kind:
            return kind[1], shown.content
    return "", b""


def how_to_resume(kept: Path) -> str:
    """Return the command that continues a payment."""
    return f"instant buy --resume {shlex.quote(str(kept))}"


def _receipt(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seller's receipt; empty unless it is an object."""
    said = body.get("receipt")
    return said if isinstance(said, dict) else {}


def plain(text: str) -> str:
    """Remove control characters, which a terminal would obey, from foreign text."""
    return _CONTROL.sub("", text)


def say(sentence: str) -> None:
    """Print one line to standard error."""
    print(plain(sentence), file=sys.stderr)
