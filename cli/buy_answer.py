"""Print the result of `instant buy`: the answer to standard output, everything else to standard error."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli import output

if TYPE_CHECKING:
    from cli.buy_delivery import Outcome
    from cli.buy_order import Order

_DATA_URL = re.compile(r"data:image/([a-z0-9]+)[^,;]*;base64,(.*)", re.DOTALL)
_LONGEST_LINE = 400
_SHOW_SECONDS = 30
MOST_IMAGE_BYTES = 32 * 1024 * 1024
# Compressed pictures would be counted before they are unpacked.
_UNPACKED = {"Accept-Encoding": "identity"}


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
            "usable_until": _usable_until(order, outcome),
        }
    )


def show(order: Order | None, outcome: Outcome, pictures: list[str], kept: Path | None, shown: str = "") -> None:
    """Print the result for people; of the answer, what was not shown while it was made."""
    if shown and outcome.state != "answered":
        output.line()
    if outcome.state == "answered":
        output.line(str(outcome.body.get("response") or "").removeprefix(shown))
        for image in pictures:
            output.line(image if len(image) < _LONGEST_LINE else f"an image of {len(image) * 3 // 4} bytes; see --out")
    output.remark(outcome.sentence)
    receipt = _Receipt(_receipt(outcome.body))
    lines = {
        "cut off": outcome.body.get("truncated") is True and "at its length limit, which counts as the offer said",
        "receipt": receipt and "{paidUsdc} USDC on {network}, transaction {transaction}".format_map(receipt),
        "status": outcome.status_url,
        "run again for free": outcome.body.get("rerunUrl") and f"POST {outcome.body['rerunUrl']}",
        "the signed authorization can be used until": _usable_until(order, outcome),
        "continue with": kept and how_to_resume(kept),
    }
    for name, line in lines.items():
        if line:
            output.remark(f"{name}: {line}")


def images(body: Mapping[str, Any], out: Path | None, shop: str | None) -> list[str]:
    """Return the answer's images: unchanged, or as the files that they were written to.

    Args:
        body: the answer.
        out: the folder for the files; None: no files.
        shop: the resource's URL. Image addresses on the same origin are downloaded, others are only shown. So are
            images that are too large, and redirects.
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

    content, deadline = bytearray(), time.monotonic() + _SHOW_SECONDS
    with (
        suppress(httpx.HTTPError),
        httpx.stream("GET", image, headers=_UNPACKED, timeout=_SHOW_SECONDS, follow_redirects=False) as shown,
    ):
        kind = re.fullmatch("image/([a-z0-9]+)", shown.headers.get("content-type", ""))
        if shown.status_code != httpx.codes.OK or not kind:
            return "", b""
        for part in shown.iter_raw():
            content += part
            if len(content) > MOST_IMAGE_BYTES or time.monotonic() > deadline:
                return "", b""
        return kind[1], bytes(content)
    return "", b""


def _usable_until(order: Order | None, outcome: Outcome) -> str | None:
    """Return until when a seller may still use the signature (UTC); None if it was used, or has expired."""
    if order is None or outcome.is_final or outcome.state == "failed" or not order.is_usable:
        return None
    return f"{datetime.fromtimestamp(order.valid_before, UTC):%Y-%m-%d %H:%M:%S} UTC"


def how_to_resume(kept: Path) -> str:
    """Return the command that continues a payment."""
    return f"instant buy --resume {shlex.quote(str(kept))}"


def _receipt(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seller's receipt; empty unless it is an object."""
    said = body.get("receipt")
    return said if isinstance(said, dict) else {}
