"""The operator's routes."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api.door import Door
from core import db

router = APIRouter(prefix="/health", tags=["operators"])


@router.get("/live", summary="Whether the process answers")
async def live() -> Response:
    """Always 200; restart the process when it is not."""
    return JSONResponse({"live": True})


@router.get("/ready", summary="Whether requests can be served")
async def ready(request: Request) -> Response:
    """200 when the database answers, 503 otherwise."""
    door: Door = request.app.state.door
    try:
        async with door.pool.connection(timeout=2) as conn:
            await conn.execute("SELECT 1")
    except db.UNREACHABLE:
        return JSONResponse({"ready": False, "database": "unreachable"}, status_code=503)
    return JSONResponse({"ready": True, "settling": len(door.settling)})
