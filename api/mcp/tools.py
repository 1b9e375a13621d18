"""The tools: those of the whole shop, and one for each prompt of a creator."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from mcp.server.context import HandlerResult
from mcp_types import ListToolsResult, Tool, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import listing as listed
from api.bodies import NAME
from api.buying import unpaid
from api.door import Door
from api.listing import Filter
from api.mcp import buying, results
from api.mcp.binding import Context
from api.offers import rules_of
from core import db
from core.amounts import usdc
from core.failures import InvalidInput, NotFound
from core.payments import offers
from core.resources import field_errors, listing, product, versions
from core.resources.draft import RESERVED
from core.settings import settings

Arguments = TypeVar("Arguments", bound=BaseModel)

_PAGE: Final = 100
_STATUS: Final = "status"
_FOUND: Final = 10
_PLACE = re.compile(rf"@?({NAME.pattern})/({NAME.pattern})")
_ORDER = "name of tools"
# It spends money, changes nothing of anybody's, and may be repeated with the same payment; what answers is elsewhere.
_PAID = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
_FREE = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


class Search(Filter):
    """What to look for; all of it must fit."""

    limit: int = Field(default=_FOUND, ge=1, le=50)


class Prompt(BaseModel):
    """A prompt, and what to put into it."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(max_length=300, description="@creator/slug, or its URL, as search_prompts names it")]
    inputs: dict[str, object] = Field(default_factory=dict, description="by the schema that `preview` shows")


class Job(BaseModel):
    """A call that was paid before."""

    model_config = ConfigDict(extra="forbid")

    statusUrl: Annotated[str, Field(max_length=500, description="as the paid call named it")]


async def list_shop(_context: Context, _params: object) -> ListToolsResult:
    """The tools at `/mcp`."""
    return ListToolsResult(tools=[tool for tool, _ in _SHOP.values()])


async def list_creator(context: Context, cursor: str | None) -> ListToolsResult:
    """The tools at `/@creator/mcp`, a page of them: each prompt that is listed and for sale now, by title.

    Raises:
        NotFound: there is no such creator, or nothing of theirs is for sale.
        InvalidInput: the cursor is none of ours.
    """
    door = door_of(context)
    after = None if cursor is None else listed.read_cursor(_ORDER, cursor)
    filters = listing.Filters(creator=handle_of(context), sort="name")
    async with db.autocommit(door.pool) as conn:
        rows, following = await listing.page(conn, filters, after=after, most=_PAGE)
    if not rows and after is None:
        raise NotFound
    found = [_tool_of(row) for row in rows]
    if after is None:
        found.append(_STATUS_TOOL)
    return ListToolsResult(
        tools=found, next_cursor=None if following is None else listed.write_cursor(_ORDER, following)
    )


async def call_shop(context: Context, name: str, arguments: Mapping[str, object]) -> HandlerResult:
    """Call a tool of `/mcp`.

    Raises:
        NotFound: there is no such tool.
    """
    if name not in _SHOP:
        raise NotFound
    return await _SHOP[name][1](context, arguments)


async def call_creator(context: Context, name: str, arguments: Mapping[str, object]) -> HandlerResult:
    """Call a tool of `/@creator/mcp`: buy a prompt, also one that is in no list, or look at a job."""
    if name == _STATUS:
        return await _status(context, arguments)
    if name in RESERVED:
        raise NotFound
    return await buying.buy(context, handle_of(context), name, arguments)


def door_of(context: Context) -> Door:
    """Return the door that the call came to."""
    door: Door = db.required(context.request).app.state.door
    return door


def handle_of(context: Context) -> str:
    """Return the creator of `/@creator/mcp`.

    Raises:
        NotFound: no creator can have this name.
    """
    handle: str = db.required(context.request).path_params["handle"]
    if not NAME.fullmatch(handle):
        raise NotFound
    return handle


async def _search(context: Context, arguments: Mapping[str, object]) -> HandlerResult:
    door = door_of(context)
    rows, following = await listed.read_page(door, _read(Search, arguments))
    found = [
        {"prompt": f"@{row.handle}/{row.slug}"}
        | {name: value for name, value in listed.entry(row).items() if name not in ("answer", "icon", "version")}
        for row in rows
    ]
    return results.of_document({"prompts": found} | ({"cursor": following} if following else {}))


async def _preview(context: Context, arguments: Mapping[str, object]) -> HandlerResult:
    """Show what a call would cost and give, and check its inputs, for nothing."""
    asked = _read(Prompt, arguments)
    handle, slug = _place_of(asked.prompt)
    door = door_of(context)
    offered = await door.offered(handle, slug)
    version = offered.version

    async def check() -> None:
        if asked.inputs:
            versions.validate_inputs(version, asked.inputs)

    refusal = await unpaid(offered, check)
    if isinstance(refusal, InvalidInput):
        raise refusal
    offered.answer(refusal)  # raises where it cannot be sold now
    return results.of_document(
        {
            "prompt": f"@{handle}/{slug}",
            "url": offers.url_of(version),
            "title": version.title,
            "description": version.description,
            "priceUsdc": usdc(version.price_atomic),
            "model": version.model_id,
            "kind": version.modality,
            "networks": [network for network, _ in offered.payouts],
            "inputs": product.inputs_schema(version),
            "answer": product.answer_schema(version),
            "example": version.example and version.example.model_dump(),
            "rules": rules_of(version),
        }
    )


async def _buy(context: Context, arguments: Mapping[str, object]) -> HandlerResult:
    asked = _read(Prompt, arguments)
    return await buying.buy(context, *_place_of(asked.prompt), asked.inputs)


async def _status(context: Context, arguments: Mapping[str, object]) -> HandlerResult:
    url = urlsplit(_read(Job, arguments).statusUrl)
    job, tokens = url.path.rpartition("/")[2], parse_qs(url.query).get("token", [])
    execution_id = None
    with suppress(ValueError):
        execution_id = UUID(job)
    if execution_id is None or not tokens:
        raise InvalidInput({"statusUrl": "must be the statusUrl of a paid call, with its token"})
    return await buying.look(context, execution_id, tokens[0])


def _tool_of(row: listing.Listed) -> Tool:
    """Describe a prompt as a tool. It promises no `outputSchema`: strict clients would hold the terms against it."""
    price = f"Costs {usdc(row.price_atomic)} USDC a call, paid by x402; see {offers.url_of(row)}"
    return Tool(
        name=row.slug,
        title=row.title,
        description=f"{row.description or row.title}\n\n{price}",
        input_schema=product.inputs_schema(row),
        annotations=_PAID,
    )


def _place_of(prompt: str) -> tuple[str, str]:
    found = _PLACE.fullmatch(prompt.removeprefix(f"{settings().public_url}/"))
    if found is None:
        raise InvalidInput({"prompt": "must be @creator/slug, or the URL of a prompt of this shop"})
    return found[1], found[2]


def _read(model: type[Arguments], arguments: Mapping[str, object]) -> Arguments:
    """Read the arguments of a tool.

    Raises:
        InvalidInput: names each that does not fit.
    """
    wrong: dict[str, str] = {}
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        wrong = field_errors.sentences(model, error)
    raise InvalidInput(wrong)


Call = Callable[[Context, Mapping[str, object]], Awaitable[HandlerResult]]


def _schema(model: type[BaseModel]) -> dict[str, object]:
    return {name: value for name, value in model.model_json_schema().items() if name not in ("title", "description")}


_STATUS_TOOL = Tool(
    name=_STATUS,
    title="Fetch a paid answer",
    description="Free. Waits for the answer of a call that was paid before, and returns it.",
    input_schema=_schema(Job),
    annotations=_FREE,
)

_SHOP: dict[str, tuple[Tool, Call]] = {
    tool.name: (tool, call)
    for tool, call in (
        (
            Tool(
                name="search_prompts",
                title="Search prompts for sale",
                description="Free. Finds prompts that are sold by the call, with price and inputs.",
                input_schema=_schema(Search),
                annotations=_FREE,
            ),
            _search,
        ),
        (
            Tool(
                name="preview",
                title="Look at a prompt",
                description="Free. Shows what a call costs, takes and gives, and checks inputs.",
                input_schema=_schema(Prompt),
                annotations=_FREE,
            ),
            _preview,
        ),
        (_STATUS_TOOL, _status),
        (
            Tool(
                name="buy",
                title="Buy a call of a prompt",
                description=(
                    "Runs a prompt. Costs what `preview` shows, in USDC, paid by x402 in _meta. Without a payment it"
                    " answers with the terms, and nothing runs."
                ),
                input_schema=_schema(Prompt),
                annotations=_PAID,
            ),
            _buy,
        ),
    )
}
