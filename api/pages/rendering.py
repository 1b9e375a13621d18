"""Make a page of a template."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.pages import assets
from api.pages.badges import badge
from core.amounts import usdc
from core.settings import settings

VARY: Final = {"Vary": "Accept"}
_PRICE_DIGITS: Final = 4
_PRACTICE_WALLET = "/practice/wallet.js"


def page(template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: object) -> HTMLResponse:
    """Render a page.

    Args:
        template: its file in `templates`.
        status: HTTP status.
        headers: response headers; without Cache-Control among them, nobody may keep the page.
        values: what the template names; all text is escaped.
    """
    text = (
        _environment()
        .get_template(template)
        .render(site=settings().service_name, practice_wallet=practice_wallet(), **values)
    )
    own = {"Cache-Control": "no-store", "Content-Security-Policy": policy()} | VARY
    return HTMLResponse(text, status, own | (headers or {}))


def text(template: str, **values: object) -> str:
    """Render a template that is no page, such as a program to copy. The template escapes, or a page that shows it."""
    return _environment().get_template(template).render(**values).strip("\n")


def link(path: str) -> str:
    """Return an address on this door for a page: the path, below that of the public URL."""
    return urlsplit(settings().public_url).path.rstrip("/") + path


def practice_wallet() -> str | None:
    """Return the URL of the practice facilitator's wallet; None in live mode, where every wallet is the buyer's own."""
    config = settings()
    return f"{config.networks[0].facilitator_url}{_PRACTICE_WALLET}" if config.mode == "sandbox" else None


def policy() -> str:
    """Return the Content-Security-Policy of pages: everything is ours, and nothing stands inline.

    A store of pictures and sounds elsewhere is reached by a redirect, whose target a policy must allow too. In sandbox
    mode the practice wallet is the facilitator's.
    """
    config, wallet = settings(), practice_wallet()
    practice = "" if wallet is None else f" {origin_of(wallet)}"
    stored = " https:" if config.media_url and not config.media_url.startswith("file:") else ""
    return (
        f"default-src 'none'; script-src 'self'{practice}; style-src 'self'; connect-src 'self'{practice};"
        f" img-src 'self' data:{stored}; media-src 'self' data:{stored};"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def origin_of(url: str) -> str:
    """Return the origin of a URL, as policies name it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": lambda name: link(assets.path_of(name)), "link": link, "badge": badge}
    environment.filters |= {
        "usdc": usdc,
        "seconds": _seconds,
        "usd": in_usd,
        "per_million": _per_million,
        "capital": _capital,
    }
    return environment


def in_usd(amount: Decimal) -> str:
    """Say an amount of US dollars: two digits that count below a cent, and cents above."""
    if amount == 0:
        return "$0"
    places = 2 if abs(amount) >= 1 else max(2, 1 - amount.adjusted())
    return f"{'−' if amount < 0 else ''}${abs(amount).quantize(Decimal(1).scaleb(-places)):,f}"


def _per_million(usd: Decimal | None) -> str:
    """Say a price per token as one per million tokens, with four digits that count."""
    if usd is None:
        return "–"
    price = usd.scaleb(6)
    rounded = price.quantize(Decimal(1).scaleb(min(price.adjusted() - _PRICE_DIGITS + 1, 0)))
    return f"${rounded.normalize():f}"


def _capital(sentence: str) -> str:
    """Begin a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def _seconds(milliseconds: float) -> str:
    """Say a duration as a person reads it."""
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
