"""A practice OpenRouter: the real protocol, without a model, everything in memory.

It serves `/api/v1/models`, `/chat/completions` (plain and streamed, with its response cache), `/generation`, `/key` and
OAuth PKCE (`openrouter_oauth`). Keys that start with `sk-or-v1-practice-` are valid until revoked at the control
endpoint `/practice/keys/{key}`, where faults are queued too. A body that is put at `/practice/models` is listed instead
of the practice catalog, until it is deleted there. The practice Anthropic (`anthropic`) is beside it at `/anthropic/v1`
and a practice gateway (`openai_compatible`) at `/compatible/v1`, with the same control endpoint.
Formats follow OpenRouter's OpenAPI description of October 2026.
"""

import argparse
import hashlib
import socket
from collections import deque
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator

from sandbox import anthropic, openai_compatible, openrouter_oauth
from sandbox.openrouter_accounts import KEY_PREFIX, Account, Practice
from sandbox.openrouter_chat import chat, error_answer, json_answer, read_body
from sandbox.openrouter_faults import STATUS_WORDS, parse

PracticeKey = Annotated[str, Path(pattern=f"^({KEY_PREFIX}|{anthropic.KEY_PREFIX}|{openai_compatible.KEY_PREFIX})")]


class Order(BaseModel):
    """Changes to one key; missing fields stay unchanged, `faults` replaces the queue, `gate_open` opens or closes."""

    model_config = ConfigDict(extra="forbid")

    revoked: bool = False
    latency_seconds: float | None = Field(default=None, ge=0)
    latency_between: tuple[PositiveFloat, PositiveFloat] | None = None
    management: bool = False
    expires_at: datetime | None = None
    credits: Decimal | None = None
    price_factor: Decimal = Field(default=Decimal(1), gt=0)
    silence: int = Field(default=0, ge=0)
    gate_open: bool = False
    faults: list[str] = []

    @field_validator("faults")
    @classmethod
    def _known(cls, texts: list[str]) -> list[str]:
        for text in texts:
            parse(text)
        return texts


def create_app(latency_seconds: float = 0.3) -> FastAPI:
    """Create the server.

    Args:
        latency_seconds: how long a chat call takes unless its key has another latency.
    """
    app = FastAPI(title="Practice OpenRouter", docs_url=None, redoc_url=None)
    practice, codes = Practice(latency_seconds), openrouter_oauth.Codes()
    app.include_router(_api(practice), prefix="/api/v1")
    app.include_router(openrouter_oauth.exchange(practice, codes), prefix="/api/v1")
    app.include_router(openrouter_oauth.page(codes))
    app.include_router(anthropic.api(practice), prefix="/anthropic/v1")
    app.include_router(openai_compatible.api(practice), prefix="/compatible/v1")
    app.include_router(_control(practice), prefix="/practice")
    return app


def _api(practice: Practice) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    async def models(
        request: Request,
        output_modalities: str = "text",
        offset: Annotated[int | None, Query(ge=0)] = None,
        limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
    ) -> Response:
        if practice.listing is not None:
            return _unless_known(request, Response(practice.listing, media_type="application/json"))
        wanted = set(output_modalities.split(","))
        rows = [
            row for row in practice.catalog if "all" in wanted or wanted & set(row["architecture"]["output_modalities"])
        ]
        start, count = offset or 0, limit or 500
        paged = offset is not None or limit is not None
        following = None
        if paged and start + count < len(rows):
            following = f"/api/v1/models?output_modalities={output_modalities}&offset={start + count}&limit={count}"
        page = rows[start : start + count] if paged else rows
        listed = {"data": page, "total_count": len(rows), "links": {"next": following}}
        return _unless_known(request, json_answer(listed))

    @router.get("/key")
    async def key(request: Request) -> Response:
        account = practice.bearer(request)
        if account is None:
            return _unauthorized(request)
        return json_answer({"data": _key_facts(request.headers["authorization"].split(" ")[-1], account)})

    @router.post("/chat/completions")
    async def completions(request: Request) -> Response:
        account = practice.bearer(request)
        if account is None:
            return _unauthorized(request)
        body = await read_body(request)
        if body is None:
            return error_answer(400, 'Input required: specify "prompt" or "messages"')
        await practice.note(account, body, request)
        return await chat(practice, account, body, request)

    @router.get("/generation")
    async def generation(request: Request, id: str) -> Response:
        account = practice.bearer(request)
        if account is None:
            return _unauthorized(request)
        made = account.generation(id)
        if made is None:
            return error_answer(404, f"Generation {id} not found")
        return json_answer({"data": _generation_facts(made)})

    return router


def _control(practice: Practice) -> APIRouter:
    router = APIRouter()

    @router.put("/keys/{key}", status_code=204)
    async def order(key: PracticeKey, wish: Order) -> None:
        account = practice.account(key)
        for name in wish.model_fields_set - {"faults", "gate_open"}:
            setattr(account, name, getattr(wish, name))
        if "gate_open" in wish.model_fields_set:
            (account.gate.set if wish.gate_open else account.gate.clear)()
        if "faults" in wish.model_fields_set:
            account.faults = deque(map(parse, wish.faults))

    @router.put("/models", status_code=204)
    async def list_instead(request: Request) -> None:
        """List this body, byte by byte, whatever it is."""
        practice.listing = await request.body()

    @router.delete("/models", status_code=204)
    async def list_again() -> None:
        practice.listing = None

    @router.get("/keys/{key}")
    async def seen(key: PracticeKey, arrived: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Return what this key sent; with `arrived=N`, answer once N chat calls have arrived."""
        account = practice.account(key)
        async with practice.arrived:
            await practice.arrived.wait_for(lambda: len(account.requests) >= arrived)
        return json_answer(
            {
                "revoked": account.revoked,
                "usage": account.usage,
                "faults_left": len(account.faults),
                "requests": account.requests,
                "generations": account.generations,
            }
        )

    return router


def _key_facts(key: str, account: Account) -> dict[str, Any]:
    remaining = None if account.credits is None else account.credits - account.usage
    return {
        "label": f"{key[:12]}...{key[-4:]}",
        "limit": account.credits,
        "limit_remaining": remaining,
        "limit_reset": account.limit_reset,
        "usage": account.usage,
        "usage_daily": account.usage,
        "usage_weekly": account.usage,
        "usage_monthly": account.usage,
        "byok_usage": 0,
        "include_byok_in_limit": False,
        "is_free_tier": False,
        "is_management_key": account.management,
        "is_provisioning_key": account.management,
        "creator_user_id": "user_practice",
        "expires_at": account.expires_at and account.expires_at.isoformat(),
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
    }


def _generation_facts(made: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": made["id"],
        "model": made["model"],
        "provider_name": "Practice",
        "total_cost": made["cost"],
        "usage": made["cost"],
        "upstream_inference_cost": 0,
        "cache_discount": None,
        "is_byok": False,
        "streamed": made["streamed"],
        "cancelled": made["cancelled"],
        "finish_reason": made["finish_reason"],
        "native_finish_reason": made["finish_reason"],
        "origin": "",
        "app_id": None,
    }


def _unless_known(request: Request, answer: Response) -> Response:
    """Return the answer, or 304 to a client that already has it."""
    etag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    answer.headers["ETag"] = etag
    return Response(status_code=304, headers={"ETag": etag}) if request.headers.get("if-none-match") == etag else answer


def _unauthorized(request: Request) -> Response:
    given = "authorization" in request.headers
    return error_answer(401, STATUS_WORDS[401] if given else "No auth credentials found")


def main() -> None:
    """Serve on loopback until interrupted; exit 2 if the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.openrouter", description="A practice OpenRouter.")
    parser.add_argument("--port", type=int, default=4021)
    parser.add_argument("--latency", type=float, default=0.3, metavar="SECONDS")
    arguments = parser.parse_args()
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", arguments.port))
    except OSError as error:
        parser.exit(2, f"practice OpenRouter: cannot listen on port {arguments.port}: {error.strerror}\n")
    config = uvicorn.Config(
        create_app(arguments.latency), access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    main()
