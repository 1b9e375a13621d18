"""Serve the stylesheet, modules and pictures of pages.

Their addresses hold a digest of all of them, so browsers keep them for ever, and modules find each other beside
themselves.
"""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from core.failures import NotFound

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}

DIGEST: Final = hashlib.sha256(b"".join(name.encode() + content for name, content in _FILES.items())).hexdigest()[:16]
"""Names the state of all files."""

_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Cross-Origin-Resource-Policy": "same-origin"}

router = APIRouter()


@router.get("/pages/{digest}/{name}", include_in_schema=False)
async def show(digest: str, name: str) -> Response:
    """The file as it was when this door started; 404 for another state of it, which must not be kept."""
    if digest != DIGEST or name not in _FILES:
        raise NotFound
    return Response(_FILES[name], media_type=_KINDS[Path(name).suffix], headers=_HEADERS)


def path_of(name: str) -> str:
    """Return the path of a file, below the door's own."""
    if name not in _FILES:
        raise LookupError(name)
    return f"/pages/{DIGEST}/{name}"
