"""Decide whether a request gets a page or a document. Programs that name no preference get the document.

Source: RFC 9110, 12.4.2 and 12.5.1.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlencode
from urllib.request import parse_http_list

from starlette.requests import Request
from starlette.responses import RedirectResponse

from api.pages.rendering import VARY, link

_HTML = "text/html"
_DOCUMENTS = ("application/json", "application/problem+json")
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# A request that carries a payment is a program's, also if its Accept is a browser's; so is one that carries a token.
_PROGRAMS = ("payment-signature", "x-payment", "authorization", "status-token")


def prefers_html(accept: str) -> bool:
    """Whether `Accept` prefers a page to JSON: both at the same quality is JSON, as without a preference.

    Args:
        accept: the header, its lines joined by commas.
    """
    if "text/" not in accept.lower():  # nothing else names HTML and not JSON
        return False
    qualities = _qualities(accept)
    return _quality(qualities, _HTML) > max(_quality(qualities, kind) for kind in _DOCUMENTS)


def wants_page(request: Request) -> bool:
    """Whether a person reads the answer: a browser opened an address or sent a form, and prefers HTML."""
    headers = request.headers
    if any(name in headers for name in _PROGRAMS):
        return False
    is_form = headers.get("content-type", "").partition(";")[0].strip().lower() in _FORMS
    if request.method != "GET" and not (request.method == "POST" and is_form):
        return False
    return prefers_html(",".join(headers.getlist("accept")))


def to_shop(**filters: str) -> RedirectResponse:
    """Lead a person from a list for programs to the shop.

    Args:
        filters: of the shop, such as `model`.
    """
    query = f"?{urlencode(filters)}" if filters else ""
    return RedirectResponse(link("/") + query, 303, {"Cache-Control": "no-store"} | VARY)


def _qualities(accept: str) -> dict[str, float]:
    """Read the media ranges with their qualities; what cannot be read counts as absent."""
    found: dict[str, float] = {}
    for item in parse_http_list(accept):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        weights = [value.strip() for name, _, value in (part.partition("=") for part in parameters) if name == "q"]
        weight = weights[-1] if weights else "1"
        if _QUALITY.fullmatch(weight):
            found[kind] = max(float(weight), found.get(kind, 0.0))
    return found


def _quality(qualities: Mapping[str, float], kind: str) -> float:
    """Return the quality of a media type: the most specific range counts."""
    ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    return next((qualities[each] for each in ranges if each in qualities), 0.0)
