"""Serve one path before FastAPI's router: the way through it costs a third of an offer, beside the database."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Request, Exception], Awaitable[Response]]


def direct(
    app: ASGIApp, router: APIRouter, answers: Mapping[type[Exception], Answer], but: Collection[str] = ()
) -> ASGIApp:
    """Call the endpoint of the route that a request matches; what matches none goes on to the application.

    Args:
        app: the application, which has these routes too, for its OpenAPI document and for the other methods.
        router: has one path. Its endpoints take nothing but the request, and answer with a response.
        but: last parts of paths that are no products, and have routes of their own.
        answers: to what an endpoint raises. Anything else is a defect, and goes on to Starlette.
    """
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    by_method = {method: route for route in routes for method in route.methods or ()}
    (path,) = {route.path_regex for route in routes}
    answered = tuple(answers)

    async def routing(scope: Scope, receive: Receive, send: Send) -> None:
        route = by_method.get(scope["method"]) if scope["type"] == "http" else None
        match = None if route is None else path.match(scope["path"])
        if route is None or match is None or match.groupdict().get("slug") in but:
            await app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, match.groupdict()
        request = Request(scope, receive, send)
        try:
            response: Response = await route.endpoint(request)
        except answered as error:
            answer = next(answer for kind, answer in answers.items() if isinstance(error, kind))
            response = await answer(request, error)
        await response(scope, receive, send)

    return routing
