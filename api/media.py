"""Serve pictures and sounds of answers to the bearer of their signed URL."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from api import documents
from api.door import LimitedDoor
from core.media import store as media

router = APIRouter(tags=["buyers"])

# Browsers show a model's file but never run it, whatever it contains.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "private, max-age=3600, immutable",
}


@router.get("/media/{execution_id}/{file}", summary="A picture or sound of an answer", responses=documents.MEDIUM)
async def show(
    door: LimitedDoor,
    execution_id: str,
    file: str,
    expires: Annotated[int, Query(description="unix time, as in the URL")],
    signature: Annotated[str, Query(description="as in the URL")],
) -> Response:
    """The URL in the answer allows reading the file until it expires; read the answer again to get a fresh URL."""
    file_or_url = await media.get(f"{execution_id}/{file}", expires, signature)
    if isinstance(file_or_url, str):
        return RedirectResponse(file_or_url, status_code=307, headers={"Cache-Control": "no-store"})
    return Response(file_or_url.data, media_type=file_or_url.kind, headers=_HEADERS)
