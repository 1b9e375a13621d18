"""A creator's calls: what became of each, whose fault a failure was, and what to do about it."""

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.authentication import Creator, Identity
from api.door import LimitedDoor
from api.history import read_filters
from api.pages.desk.visits import DESK, desk_page
from api.pages.executions import STATES
from core import db
from core.db.states import ExecutionState
from core.executions import advice
from core.executions import views as execution_views
from core.failures import InvalidInput
from core.providers import registry as providers

router = APIRouter(include_in_schema=False)

_MOST = 30


@router.get(f"{DESK}/calls")
async def calls(
    request: Request,
    door: LimitedDoor,
    creator: Creator,
    identity: Identity,
    state: Annotated[str, Query(max_length=20)] = "",
    slug: Annotated[str, Query(max_length=60)] = "",
    after: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Newest first; never an input or an answer."""
    wrong = ""
    rows: list[execution_views.HistoryRow] = []
    try:
        filters = read_filters(state, slug, after)
        async with db.acting_for(door.pool, creator.id) as conn:
            rows = await execution_views.history(
                conn, creator.id, state=filters.state, slug=filters.slug, after=filters.after, most=_MOST + 1
            )
    except InvalidInput as refusal:
        wrong = "; ".join(f"{name} {told}" for name, told in refusal.fields.items())
    shown, more = rows[:_MOST], rows[_MOST:]
    kept = {name: value for name, value in (("state", state), ("slug", slug)) if value}
    return desk_page(
        request,
        identity,
        "calls.html",
        status=400 if wrong else 200,
        wrong=wrong,
        rows=[
            (row, advice.advice_for(row.detail, row.fault, [providers.provider_for(row.model_id).name]))
            for row in shown
        ],
        states=STATES,
        all_states=get_args(ExecutionState),
        asked={"state": state, "slug": slug, "after": after},
        following=f"?{urlencode(kept | {'after': str(shown[-1].id)})}" if more else None,
        first=f"?{urlencode(kept)}",
    )
