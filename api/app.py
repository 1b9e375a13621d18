"""Assemble the front door as an ASGI application."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from api import (
    account,
    batch,
    buyers,
    catalog,
    creators,
    docs_page,
    documents,
    estimates,
    history,
    identities,
    key_cards,
    key_connect,
    keys,
    leaving,
    listing,
    manifests,
    media,
    methods,
    metrics,
    model_switch,
    notices,
    operators,
    own_tests,
    payouts,
    problems,
    product_records,
    purchases,
    refund_wallets,
    refunds,
    resource_versions,
    resources,
    schedules,
    security,
    setup,
    sign_in,
    tokens,
    upkeep,
    webhooks,
    well_known,
)
from api.direct import Answer, direct
from api.door import Door
from api.mcp import routes as mcp_routes
from api.openai import errors as openai_errors
from api.openai import routes as openai
from api.pages import assets, desk, errors, negotiation, operator
from api.pages import shop as shop_pages
from api.rate_limits import rate, rate_limiter
from core import db
from core.db import notifications
from core.failures import Failure, InvalidInput, NotFound, Unauthorized, Unavailable
from core.observability import logs, tracing
from core.payments import receipts, settlement
from core.payments.bazaar import OPENAPI_PATH
from core.process import gc_tuning, scheduled_runs, worker
from core.resources import field_errors
from core.resources.draft import RESERVED
from core.settings import settings
from deployments import launch

_PAYMENT_HEADERS = ["PAYMENT-REQUIRED", "PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE"]
# nginx's status for a request whose client closed the connection.
_CLIENT_CLOSED_REQUEST = 499
_ANSWER_HEADERS = ["Content-Location", "Date", "ETag", "Location", "Preference-Applied", "Retry-After", "Server-Timing"]


def create_app(launcher: Callable[[], AbstractAsyncContextManager[None]] = launch.running) -> FastAPI:
    """Create the application. Its lifespan opens the pool, listens and launches; shutdown waits for settlements.

    Args:
        launcher: runs paid executions for the duration of its block.
    """
    # It serves the files that our page at /docs loads.
    app = FastAPIOffline(
        docs_url=None,
        openapi_url=docs_page.OPENAPI_PATH,
        redoc_url=None,
        # Its redirects are built from the Host header, which anybody writes, and lose what a payment needs.
        redirect_slashes=False,
        title="x402 Instant",
        summary="Sell a prompt by the call.",
        description="Without a payment you see the price, the inputs and the rules; pay with x402 v2.",
        lifespan=partial(_lifespan, launcher=launcher),
    )
    app.add_middleware(direct, router=buyers.shop, answers=_ANSWERS, but={*RESERVED, OPENAPI_PATH.removeprefix("/")})
    app.add_middleware(openai_errors.errors_of_problems)
    app.add_middleware(errors.pages_of_problems)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=[*_PAYMENT_HEADERS, *_ANSWER_HEADERS],
    )
    app.add_middleware(metrics.counting)
    app.add_middleware(methods.read_request_line)
    app.add_middleware(security.headed)
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Unauthorized, desk.visits.to_sign_in)
    app.add_exception_handler(operator.SignInNeeded, operator.to_sign_in)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(Exception, _our_fault)
    for router in (
        # Before the prompts: no prompt is at these addresses.
        manifests.router,
        mcp_routes.router,
        buyers.shop,
        buyers.router,
        openai.router,
        product_records.router,
        purchases.router,
        well_known.router,
        media.router,
        catalog.router,
        listing.router,
        creators.router,
        batch.router,
        estimates.router,
        history.router,
        model_switch.router,
        resources.router,
        resources.schemas,
        resource_versions.router,
        own_tests.router,
        keys.router,
        key_connect.router,
        key_cards.router,
        notices.router,
        webhooks.router,
        account.router,
        leaving.router,
        payouts.router,
        refunds.router,
        refund_wallets.router,
        tokens.router,
        identities.router,
        identities.sign_up_router,
        sign_in.router,
        operators.router,
        metrics.router,
        docs_page.router,
        assets.router,
        shop_pages.router,
        desk.router,
        operator.router,
    ):
        app.include_router(router)
    documents.describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, launcher: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
    config = settings()
    logs.hide_exception_texts()
    # httpx's INFO lines print whole URLs, and the URL of a chain node may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with (
        tracing.sending(),
        db.pool() as pool,
        notifications.listening() as hub,
        settlement.payment_clients() as clients,
        worker.registered(pool, "door") as worker_id,
        launcher(),
        operators.comparing_books(pool) as books,
        upkeep.polling_prefect() as prefect_upkeep,
        rate_limiter() as limiter,
        setup.checking(pool, clients) as door_setup,
        mcp_routes.running(app),
    ):
        rates = rate(config.address_rate), rate(config.payer_rate), rate(config.refused_rate)
        door = Door(pool, hub, clients, worker_id, limiter, *rates)
        app.state.door = door
        app.state.books = books
        app.state.upkeep = prefect_upkeep
        app.state.setup = door_setup
        async with pool.connection() as conn:
            await scheduled_runs.expect(conn, schedules.NAMES)
            await receipts.publish_keys(conn)
        gc_tuning.freeze_loaded_objects()
        yield
        while door.settling:  # a claim that finishes now starts its settlement next
            await asyncio.wait(door.settling)


async def _no_database(request: Request, _error: Exception) -> JSONResponse:
    """Answer 503: nothing is sold that cannot be recorded. A buyer who has paid repeats the identical request."""
    return await problems.handle(request, Unavailable("database_unreachable"))


async def _no_such_route(request: Request, error: Exception) -> JSONResponse:
    """Answer errors of the router: an unknown path, or a method that a path does not have."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problems.of_failure(NotFound())
    phrase, headers = HTTPStatus(error.status_code).phrase, dict(error.headers or {})
    if "Allow" in headers:  # of the first route at this path, which is not always the only one
        headers["Allow"] = methods.allowed(request)
    return problems.problem(error.status_code, phrase, phrase.lower().replace(" ", "_"), headers)


async def _hung_up(_request: Request, _error: Exception) -> Response:
    """End a request whose client closed the connection within the body: nobody reads this, and metrics count it."""
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


_ANSWERS: dict[type[Exception], Answer] = {
    Failure: problems.handle,
    ClientDisconnect: _hung_up,
    **dict.fromkeys(db.UNREACHABLE, _no_database),
}
"""What any route may raise, and how it is answered."""


async def _our_fault(request: Request, _error: Exception) -> Response:
    """Answer a defect of ours with 500. Starlette logs the error, and sends this past every middleware."""
    answer: Response = problems.our_fault()
    if openai_errors.is_asked(request.scope):
        answer = openai_errors.error_of(json.loads(bytes(answer.body)), answer.headers)
    elif negotiation.wants_page(request):
        answer = errors.problem_page(json.loads(bytes(answer.body)), {})
    for name, value in security.HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _bad_parameter(request: Request, error: Exception) -> JSONResponse:
    """Answer parameters that FastAPI cannot parse: 404, or 400 for a query of a route that documents 400."""
    if not isinstance(error, RequestValidationError):
        raise error
    found, route = error.errors(), request.scope["route"]
    if 400 not in route.responses or any(problem["loc"][0] != "query" for problem in found):
        return problems.of_failure(NotFound())
    return problems.of_failure(InvalidInput(field_errors.query_sentences(found, _query_names(route))))


def _query_names(route: APIRoute) -> list[str]:
    """The names of the parameters in a query, also of those that are fields of one model."""
    parts = [(one.alias, one.field_info.annotation) for one in route.dependant.query_params]
    return [
        name
        for alias, kind in parts
        for name in (
            [field.alias or own for own, field in kind.model_fields.items()]
            if isinstance(kind, type) and issubclass(kind, BaseModel)
            else [alias]
        )
    ]
