"""Serve `/docs`: the OpenAPI document as a page that loads nothing from other servers and works without a network."""

import base64
import hashlib
import re

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

# Where fastapi_offline serves the files of Swagger UI.
_FILES = "/static-offline-docs"

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

# Swagger UI is dark if its root has this class.
_BEFORE = """
<script>
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);
</script>
<nav style="max-width: 1460px; margin: auto; padding: 12px 20px; font-family: sans-serif">
<a href="/" style="color: #3a9c7a">Shop</a></nav>
"""

OPENAPI_PATH = "/docs/openapi.json"
"""The document of the door's own routes; `/openapi.json`, where directories look, has what is for sale."""

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def show() -> HTMLResponse:
    """The page may run its own scripts only, and may ask only the door."""
    page = get_swagger_ui_html(
        openapi_url=OPENAPI_PATH,
        title="x402 Instant",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
    )
    text = bytes(page.body).decode().replace("<body>", f"<body>{_BEFORE}", 1)
    return HTMLResponse(text, headers={"Content-Security-Policy": _policy(text)})


def _policy(page: str) -> str:
    """Return a policy that allows the page's inline scripts by their hashes (CSP Level 3, section 2.3.1)."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
